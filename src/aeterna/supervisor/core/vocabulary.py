"""The words of the handover table: states, events, guards and actions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

from aeterna.supervisor.core.restart import Death


class State(StrEnum):
    """Where a service is. From PREFLIGHT to RESCUE a handover is under way."""

    STOPPED = auto()
    """Nothing runs, and nothing starts by itself."""
    STARTING = auto()
    """A process starts, and no other one serves."""
    RUNNING = auto()
    """One generation serves."""
    BACKOFF = auto()
    """The process has died, and the next one is started after a wait."""
    FAILED = auto()
    """Given up: it died too often, or cannot start at all."""
    STOPPING = auto()
    """Every process is leaving."""
    PREFLIGHT = auto()
    """The checks run; the old generation knows of nothing."""
    VACATE = auto()
    """Stop first: the old generation leaves before the new one starts, because both do not fit."""
    SPAWN = auto()
    """The new process is being started."""
    WARMING = auto()
    """The new generation gets ready; the old one serves."""
    PRECOPY = auto()
    """Memory is copied ahead while the old generation serves, and its clients are asked to leave."""
    QUIESCE = auto()
    """The old generation stops changing state, and nobody accepts: the blackout clock runs."""
    SNAPSHOT = auto()
    """The old generation hands its memory on."""
    RESTORE = auto()
    """The new generation takes the memory over."""
    COMMIT = auto()
    """The lease and the first weight go to the new generation."""
    SOAK = auto()
    """The new generation serves and is watched, weight by weight; the old one stands by."""
    SOAK_NO_NET = auto()
    """A soak whose old generation has died: there is nothing to go back to."""
    PROMOTE = auto()
    """It is being written down that there is no way back."""
    DRAIN = auto()
    """The new generation serves; the old one finishes what it has, and leaves."""
    ABORT = auto()
    """Trouble before the commit: the old generation goes on."""
    ROLLBACK = auto()
    """Trouble after the commit: the new generation is fenced, the old one serves again."""
    RESCUE = auto()
    """The old generation cannot serve again, so the new one goes on until the last good version has started anew."""


PHASES = {
    State.STOPPED: "STOPPED",
    State.STARTING: "STARTING",
    State.RUNNING: "RUNNING",
    State.BACKOFF: "BACKOFF",
    State.FAILED: "FAILED",
    State.STOPPING: "STOPPING",
    State.PREFLIGHT: "PRE_CHECKING",
    State.VACATE: "STARTING_NEW",
    State.SPAWN: "STARTING_NEW",
    State.WARMING: "WARMING",
    State.PRECOPY: "HANDSHAKING",
    State.QUIESCE: "HANDSHAKING",
    State.SNAPSHOT: "HANDSHAKING",
    State.RESTORE: "HANDSHAKING",
    State.COMMIT: "HANDSHAKING",
    State.SOAK: "SOAKING",
    State.SOAK_NO_NET: "SOAKING",
    State.PROMOTE: "DRAINING",
    State.DRAIN: "DRAINING",
    State.ABORT: "ROLLING_BACK",
    State.ROLLBACK: "ROLLING_BACK",
    State.RESCUE: "ROLLING_BACK",
}
"""The public word for each state."""


class Kind(StrEnum):
    """What can happen. OK, FAIL, MISSING and TIMEOUT are about what the present state waits for."""

    OK = auto()
    """What the state waits for is done."""
    FAIL = auto()
    """It could not be done."""
    MISSING = auto()
    """There is no state to move, or the new generation cannot take it."""
    TIMEOUT = auto()
    """The state's deadline is over."""
    BLACKOUT = auto()
    """Nobody has accepted for as long as is allowed."""
    UNHEALTHY = auto()
    """The generation under watch fails its probes or its watchdog."""
    FLAPPING = auto()
    """It fails too often, or answers too slowly, but not in a row."""
    NEW_DIED = auto()
    """The new generation's process is gone."""
    OLD_DIED = auto()
    """The process that serves, or is being replaced, is gone."""
    START = auto()
    """An operator wants it to run."""
    STOP = auto()
    """An operator wants it to end."""
    RESTART = auto()
    """An operator wants another process of the same version."""
    RELOAD = auto()
    """An operator, or an OS signal, wants the configured version."""
    CANCEL = auto()
    """An operator does not want the handover any more."""
    PROMOTE = auto()
    """An operator ends the soak with success."""
    ROLLBACK = auto()
    """An operator wants the earlier version back."""
    WEIGHT = auto()
    """An operator sets the new generation's share of connections."""
    CONFIG_CHANGED = auto()
    """The configuration file is another one; nothing happens before a reload."""
    RECOVERED = auto()
    """The supervisor's daemon died; its successor found this service in this state."""


class Guard(StrEnum):
    """What must hold for an edge to be taken."""

    STOPS_FIRST = auto()
    """Two generations do not fit beside each other (``overlap: stop-first``)."""
    MOVES_STATE = auto()
    """State moves (mode ``exclusive``), and the old generation lives to give it."""
    SHARES_STATE = auto()
    """State is a cache that is copied (mode ``shared``), and the old generation lives to give it."""
    ABORTS_WITHOUT_STATE = auto()
    """The configuration wants no handover without the memory (``on_missing: abort``)."""
    SOAKS = auto()
    """There is a soak, or more than one weight."""
    HAS_MORE_STEPS = auto()
    """The weight in force is not the last one."""
    IS_HELD = auto()
    """An operator set the weight by hand: only an operator moves it on."""
    MAY_STEP_BACK = auto()
    """There is an earlier weight, it was not gone back to yet, and none was set by hand."""
    MAY_EXTEND = auto()
    """The last samples said nothing, and the soak was not extended yet."""
    SAYS_NOTHING = auto()
    """The last samples said nothing."""
    OLD_LOST = auto()
    """There is no old generation any more."""
    NEW_LIVES = auto()
    """There is a new generation, which was not given up."""
    IS_PAUSED = auto()
    """Nobody accepts."""
    IS_COLD = auto()
    """The memory of the old generation did not move."""
    MAY_QUEUE = auto()
    """The request may wait for its turn: the configuration says so, or it cannot be refused."""
    RESTARTS_NOW = auto()
    """The restart policy starts it again at once."""
    RESTARTS_LATER = auto()
    """The restart policy starts it again after a wait."""
    IS_DONE = auto()
    """It has ended as it may, and is not started again."""
    NONE_LEFT = auto()
    """No generation is left."""


class Action(StrEnum):
    """What is done on the way. Each can be done again without harm. Those from FORGET_NEW to REFUSE are the core's own
    bookkeeping, the others the daemon performs."""

    BEGIN = auto()
    """A handover begins: it gets its number."""
    RUN_CHECKS = auto()
    """Bind the sockets that only the wanted version has, and run its checks."""
    START_OLD = auto()
    """Start a new process of the last good version, with the stored snapshot if there is one."""
    START_FRESH = auto()
    """Start a process of the version that is configured now; it counts as the last good one from now on."""
    SPAWN_NEW = auto()
    """Start the new generation's process beside the old one."""
    AWAIT_READY = auto()
    """Wait until the process that starts can serve."""
    ASK_PRECOPY = auto()
    """Have the old generation copy ahead what it can, and ask its clients to leave."""
    ASK_QUIESCE = auto()
    """Have the old generation accept nothing and change nothing."""
    ASK_SNAPSHOT = auto()
    """Have the old generation hand on its memory, sealed."""
    ASK_RESTORE = auto()
    """Have the new generation take the memory over, and compare digests."""
    JOURNAL = auto()
    """Write down where the handover stands, so that a successor of the daemon goes on from here."""
    GRANT_NEW = auto()
    """Take the lease from the old generation and give it to the new one."""
    GRANT_OLD = auto()
    """Give the lease to the old generation."""
    ACCEPT_NEW = auto()
    """Let the new generation serve; with exclusive state the old one stands by."""
    RESUME_OLD = auto()
    """Let the old generation serve again with the memory it has."""
    FENCE_NEW = auto()
    """Take the lease from the new generation; with exclusive state it serves no longer, or is killed."""
    STEER_STEP = auto()
    """Send the new generation the share of new connections that the step says."""
    STEER_NEW = auto()
    """Send all new connections to the new generation."""
    STEER_OLD = auto()
    """Send all new connections to the old generation."""
    STEER_BY_HAND = auto()
    """Send the new generation the share that an operator set."""
    WATCH_NEW = auto()
    """Probe the new generation, and nobody else."""
    WATCH_OLD = auto()
    """Probe the old generation, and nobody else."""
    VACATE_OLD = auto()
    """Drain the old generation, so that there is room."""
    DRAIN_OLD = auto()
    """Drain the old generation: empty its queue, ask its clients to leave, then TERM, then KILL."""
    KILL_OLD = auto()
    """Kill the old generation at once."""
    KILL_NEW = auto()
    """End the new generation; what it has accepted it may finish."""
    STOP_ALL = auto()
    """Ask every process to stop."""
    KILL_ALL = auto()
    """Kill every process."""
    REPLACE_OLD = auto()
    """The new generation is the old one from now on. An old one that still lives finishes by itself."""
    FORGET_NEW = auto()
    """There is no new generation any more."""
    FORGET_OLD = auto()
    """There is no old generation any more."""
    LOSE_STATE = auto()
    """The new generation serves without the memory of the old one."""
    STEP_ON = auto()
    """The next weight is in force."""
    STEP_BACK = auto()
    """The weight before is in force again."""
    EXTEND = auto()
    """The soak takes its time once more."""
    HOLD = auto()
    """The weight is an operator's business now."""
    QUEUE = auto()
    """Remember that one more reload is wanted; many become one."""
    REFUSE = auto()
    """Tell the operator that this cannot be had now."""
    COUNT_DEATH = auto()
    """The death counts for the restart policy."""
    SUCCEED = auto()
    """The verdict is success."""
    SUCCEED_COLD = auto()
    """The verdict is success, but without the memory of the old generation."""
    RECORD_ABORTED = auto()
    """The verdict: given up before the commit, or because of a stop."""
    RECORD_ROLLED_BACK = auto()
    """The verdict: the old generation serves again."""
    RECORD_DEGRADED = auto()
    """The verdict: gone back, but to a process that has to be started anew."""
    GIVE_UP = auto()
    """Tell that it is not started again."""
    LEAVE = auto()
    """Tell that it has ended as it may."""
    CANCEL_WORK = auto()
    """Stop waiting for whatever is under way."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened at ``now_ms`` (monotonic).

    ``txn``: of the handover it belongs to, 0 if it belongs to none; an event of an earlier one is ignored.
    ``death``: with the two deaths; ``chance``: 0 to 1, for the jitter of a delay; ``weight``: with WEIGHT, in percent;
    ``must_queue``: a RELOAD that cannot be refused, because an OS signal asked for it.
    """

    kind: Kind
    now_ms: int = 0
    txn: int = 0
    reason: str = ""
    death: Death | None = None
    chance: float = 0.5
    weight: int = 0
    must_queue: bool = False
