"""The fault matrix: in each state of a handover, each fault, and what must come of it.

A cell is a state, a fault, and an expectation: the verdicts that are right, which generation serves in the end, and how
many requests may fail. Numbers above 0 are those of requests that a killed process had accepted already.
"""

from __future__ import annotations

from dataclasses import dataclass

STATES = (
    "PREFLIGHT",
    "SPAWN",
    "WARMING",
    "PRECOPY",
    "QUIESCE",
    "SNAPSHOT",
    "RESTORE",
    "COMMIT",
    "SOAK",
    "PROMOTE",
    "DRAIN",
)
BEFORE_NEW = ("PREFLIGHT", "SPAWN")
BEFORE_COMMIT = STATES[: STATES.index("COMMIT")]
MOVING = ("PRECOPY", "QUIESCE", "SNAPSHOT", "RESTORE")

FAILED = frozenset({"preflight_failed", "start_failed", "handoff_failed", "rolled_back", "degraded"})
WENT_ON = frozenset({"succeeded", "succeeded_cold"})
ANY = FAILED | WENT_ON | {"cancelled"}

OLD, NEW, FRESH, NOBODY = "old", "new", "fresh", "nobody"


@dataclass(frozen=True, slots=True)
class Expectation:
    """``results``: verdicts that are right; empty: none is asked for. ``serves``: who may serve in the end."""

    results: frozenset[str]
    serves: frozenset[str]
    failed_max: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One test."""

    state: str
    fault: str
    expects: Expectation

    @property
    def name(self) -> str:
        return f"{self.state}-{self.fault}"


def _expects(results: frozenset[str], *serves: str, failed_max: int = 0) -> Expectation:
    return Expectation(results, frozenset(serves), failed_max)


def kill_new(state: str) -> Expectation:
    """Before the commit nobody notices; afterwards the old one serves again, or the new one is started again."""
    if state in BEFORE_COMMIT:
        return _expects(FAILED, OLD)
    if state in ("PROMOTE", "DRAIN"):
        return _expects(ANY, OLD, FRESH, failed_max=4)
    return _expects(FAILED, OLD, FRESH, failed_max=4)


def kill_old(state: str) -> Expectation:
    """It serves until the commit, so what it had accepted is lost; then it stands by, or drains."""
    if state == "PREFLIGHT":
        # It is started again, which makes the second generation.
        return _expects(FAILED, NEW, failed_max=4)
    return _expects(WENT_ON, NEW, failed_max=4)


def kill_daemon(state: str) -> Expectation:
    """The successor aborts what was not committed and goes on with what was. Nobody notices."""
    if state in BEFORE_COMMIT:
        return _expects(FAILED, OLD)
    return _expects(ANY, NEW, OLD)


def freeze_daemon(state: str) -> Expectation:
    """The services go on by themselves. Its deadlines pass meanwhile, so it may give up what it was about."""
    return _expects(ANY, OLD, NEW, FRESH)


def stop_new(state: str) -> Expectation:
    """A process that hangs is as good as dead, only later; in the drain it may come back before its probes say so."""
    if state in BEFORE_COMMIT:
        return _expects(FAILED, OLD)
    if state in ("PROMOTE", "DRAIN"):
        return _expects(WENT_ON, NEW, FRESH, failed_max=8)
    return _expects(FAILED, OLD, FRESH, failed_max=8)


def stop_old(state: str) -> Expectation:
    """If it cannot hand over and cannot serve, it is started anew; as a standby nobody misses it."""
    if state in (*BEFORE_COMMIT, "COMMIT"):
        return _expects(ANY, OLD, FRESH, NEW, failed_max=8)
    return _expects(WENT_ON, NEW)


def second_reload(state: str) -> Expectation:
    """It is refused, and the first one succeeds; while the old one drains it waits for its turn."""
    return _expects(WENT_ON, NEW, FRESH) if state == "DRAIN" else _expects(WENT_ON, NEW)


def operator_stop(state: str) -> Expectation:
    return _expects(frozenset(), NOBODY)


def cancel_by_signal(state: str) -> Expectation:
    """SIGHUP during a reload: one more reload afterwards, so the next generation serves."""
    return _expects(WENT_ON, NEW, FRESH)


FAULTS = {
    "kill-new": (kill_new, tuple(state for state in STATES if state not in BEFORE_NEW)),
    "kill-old": (kill_old, STATES),
    "kill-daemon": (kill_daemon, STATES),
    "freeze-daemon": (freeze_daemon, STATES),
    "freeze-new": (stop_new, tuple(state for state in STATES if state not in BEFORE_NEW)),
    "freeze-old": (stop_old, STATES),
    "second-reload": (second_reload, STATES),
    "hangup": (cancel_by_signal, STATES),
    "stop": (operator_stop, STATES),
}

FRAME_STATES = (
    ("HELLO", "new", "WARMING"),
    ("QUIESCED", "old", "QUIESCE"),
    ("PART", "old", "SNAPSHOT"),
    ("END", "old", "PRECOPY"),
    ("RESTORED", "new", "RESTORE"),
    ("ACCEPTING", "new", "COMMIT"),
    ("ACK", "new", "COMMIT"),
    ("ACK", "old", "COMMIT"),
    ("DRAINED", "old", "PRECOPY"),
)
"""Kinds of messages, who sends them, and the state in which that is noticed."""

FRAME_FAULTS = ("drop", "delay", "twice", "corrupt", "truncate")


def frame_cells() -> list[Cell]:
    """One message of one process lost, late, doubled, damaged or cut off by its death."""
    cells = []
    for kind, role, state in FRAME_STATES:
        for fault in FRAME_FAULTS:
            if (kind, role) == ("ACK", "old") and fault in ("corrupt", "truncate"):
                # Its first acknowledgement comes long before any handover, and these end the connection.
                continue
            cells.append(Cell(state, f"{fault}-{kind}-{role}", _frame_expectation(kind, role, fault)))
    return cells


def _frame_expectation(kind: str, role: str, fault: str) -> Expectation:
    if kind == "ACK" and role == "old" and fault == "delay":
        # It acknowledges several times, and the delays may add up to a pause that is too long.
        return _expects(ANY, OLD, NEW, FRESH)
    if fault == "delay" or (fault == "twice" and kind != "PART") or (kind == "DRAINED" and fault == "drop"):
        return _expects(WENT_ON, NEW)
    if fault == "truncate" and role == "old":
        return _expects(ANY, NEW, FRESH, failed_max=4)
    return _expects(ANY, OLD, NEW, FRESH, failed_max=4 if fault == "truncate" else 0)


HOOK_CELLS = [
    Cell("SNAPSHOT", "no-space", _expects(FAILED, OLD)),
    Cell("RESTORE", "load-raises", _expects(FAILED, OLD)),
    Cell("RESTORE", "no-space-to-load", _expects(FAILED, OLD)),
    Cell("SPAWN", "exec-fails", _expects(FAILED, OLD)),
    Cell("SPAWN", "exec-denied", _expects(FAILED, OLD)),
    Cell("PREFLIGHT", "no-such-directory", _expects(FAILED, OLD)),
    Cell("PREFLIGHT", "check-fails", _expects(FAILED, OLD)),
    Cell("PREFLIGHT", "check-missing", _expects(FAILED, OLD)),
    Cell("PROMOTE", "hook-fails", _expects(WENT_ON, NEW)),
    Cell("PREFLIGHT", "config-invalid", _expects(frozenset(), OLD)),
]


def all_cells() -> list[Cell]:
    """Every cell."""
    cells = [Cell(state, fault, expects(state)) for fault, (expects, states) in FAULTS.items() for state in states]
    return [*cells, *frame_cells(), *HOOK_CELLS]


FOUND = frozenset({"DRAIN-kill-new", "SOAK-freeze-new"})
"""Cells that found something: a snapshot that expired while a process waited for it, and a soak that ended in doubt."""


def few_cells() -> list[Cell]:
    """A cross-section: every fault, every state, most of them once."""
    cells = [cell for at, cell in enumerate(all_cells()) if at % 7 == 3 or cell.name in FOUND]
    return [*cells, *(cell for cell in HOOK_CELLS if cell not in cells)]
