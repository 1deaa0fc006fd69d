"""What goes wrong in a handover, and what comes of it: one row for each failure that the table decides about.

The numbers in the ids are those of the list of failure edges that the table was made from.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from aeterna.supervisor.core.machine import decide
from aeterna.supervisor.core.records import HandoverPolicy, Machine
from aeterna.supervisor.core.restart import Death
from aeterna.supervisor.core.vocabulary import Action, Event, Kind, State
from tests.supervisor.core.world import UNDECIDED

A, S, K = Action, State, Kind

PLAIN = HandoverPolicy(soak_ms=1_000)
EXCLUSIVE = HandoverPolicy(moves_state=True, soak_ms=1_000)
STRICT = HandoverPolicy(moves_state=True, aborts_without_state=True)
SHARED = HandoverPolicy(shares_state=True, weights=(5, 100))
STRICT_SHARED = HandoverPolicy(shares_state=True, aborts_without_state=True)
CANARY = HandoverPolicy(weights=(5, 25, 100), step_ms=1_000, soak_ms=1_000)
COALESCES = HandoverPolicy(queues=True)
STOPS_FIRST = HandoverPolicy(stops_first=True)
CRASH = Death(code=1, lifetime_ms=20_000)

_PAUSED = frozenset({State.QUIESCE, State.SNAPSHOT, State.RESTORE})
_NEW_HAS_LEASE = frozenset({State.COMMIT, State.SOAK, State.SOAK_NO_NET, State.PROMOTE, State.DRAIN})
_WITHOUT_NEW = frozenset({State.PREFLIGHT, State.VACATE, State.RUNNING, State.STARTING, State.RESCUE})


def at(state: State, **fields: object) -> Machine:
    """The machine in the middle of its third handover, from generation 4 to 5."""
    new = 0 if state in _WITHOUT_NEW else 5
    usual: dict[str, object] = {
        "old": 0 if state is State.SOAK_NO_NET else 4,
        "new": new,
        "last": 5,
        "txn": 3 if state in UNDECIDED | {State.DRAIN} else 2,
        "lease": new if state in _NEW_HAS_LEASE else 4,
        "is_paused": state in _PAUSED,
    }
    return Machine(state, **{**usual, **fields})  # type: ignore[arg-type]


LOST = {"old": 0, "lease": 0}
"""The old generation has died before."""


@dataclass(frozen=True)
class Row:
    """``does``: some of the actions, in their order; ``never``: what must not be among them."""

    name: str
    machine: Machine
    kind: Kind
    to: State
    does: tuple[A, ...] = ()
    never: tuple[A, ...] = ()
    policy: HandoverPolicy = PLAIN
    reason: str = "why"
    must_queue: bool = False


RESUMES = (A.STEER_OLD, A.GRANT_OLD, A.RESUME_OLD)
GOES_BACK = (A.STEER_OLD, A.FENCE_NEW, A.GRANT_OLD, A.RESUME_OLD)
FALLS_BACK = (A.RECORD_DEGRADED, A.START_OLD, A.AWAIT_READY)
COMMITS = (A.STEER_STEP, A.JOURNAL, A.GRANT_NEW, A.ACCEPT_NEW)
COMMITS_ALONE = (A.STEER_NEW, A.JOURNAL, A.GRANT_NEW, A.ACCEPT_NEW)
LEAVES_OLD_ALONE = (A.KILL_OLD, A.DRAIN_OLD, A.VACATE_OLD)
BEFORE = [
    Row("2: a check fails", at(S.PREFLIGHT), K.FAIL, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("4: a check hangs", at(S.PREFLIGHT), K.TIMEOUT, S.ABORT, (A.CANCEL_WORK, *RESUMES), LEAVES_OLD_ALONE),
    Row("6: a socket cannot be bound", at(S.PREFLIGHT), K.FAIL, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("8: two do not fit", at(S.PREFLIGHT), K.OK, S.VACATE, (A.VACATE_OLD,), (A.SPAWN_NEW,), STOPS_FIRST),
    Row("8: it has left", at(S.VACATE), K.OLD_DIED, S.SPAWN, (A.FORGET_OLD, A.SPAWN_NEW)),
    Row("8: it does not leave", at(S.VACATE), K.TIMEOUT, S.VACATE, (A.KILL_OLD,)),
    Row("8: the one after it fails", at(S.WARMING, **LOST), K.FAIL, S.STARTING, FALLS_BACK),
    Row("9: no process", at(S.SPAWN), K.FAIL, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("9: no answer", at(S.SPAWN), K.TIMEOUT, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("10: new exits", at(S.WARMING), K.NEW_DIED, S.ABORT, (*RESUMES, A.FORGET_NEW), LEAVES_OLD_ALONE),
    Row("11: never ready", at(S.WARMING), K.TIMEOUT, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("12: ready but unhealthy", at(S.WARMING), K.FAIL, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("16: old dies", at(S.WARMING), K.OLD_DIED, S.WARMING, (A.STEER_NEW, A.FORGET_OLD), (A.KILL_NEW,)),
    Row("16: old dies while new is spawned", at(S.SPAWN), K.OLD_DIED, S.SPAWN, (A.FORGET_OLD,), (A.CANCEL_WORK,)),
    Row("16: spawned", at(S.SPAWN, **LOST), K.OK, S.WARMING, (A.STEER_NEW, A.AWAIT_READY)),
    Row("16: then ready", at(S.WARMING, **LOST), K.OK, S.COMMIT, (A.LOSE_STATE, *COMMITS_ALONE), policy=EXCLUSIVE),
    Row("16: then fails", at(S.WARMING, **LOST), K.NEW_DIED, S.STARTING, FALLS_BACK),
    Row("16: then never ready", at(S.WARMING, **LOST), K.TIMEOUT, S.STARTING, (A.KILL_NEW, *FALLS_BACK)),
    Row("16: old dies in the checks", at(S.PREFLIGHT), K.OLD_DIED, S.STARTING, FALLS_BACK),
    Row("17: cancelled", at(S.WARMING), K.CANCEL, S.ABORT, (*RESUMES, A.KILL_NEW), LEAVES_OLD_ALONE),
    Row("50: second reload", at(S.WARMING), K.RELOAD, S.WARMING, (A.REFUSE,)),
    Row("50: it may wait", at(S.WARMING), K.RELOAD, S.WARMING, (A.QUEUE,), (A.REFUSE,), COALESCES),
    Row("50: an OS signal", at(S.WARMING), K.RELOAD, S.WARMING, (A.QUEUE,), (A.REFUSE,), must_queue=True),
    Row("55: stop", at(S.WARMING), K.STOP, S.STOPPING, (A.CANCEL_WORK, A.RECORD_ABORTED, A.STOP_ALL)),
    Row("59: the daemon is killed", at(S.WARMING), K.RECOVERED, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("59: in a vacancy", at(S.VACATE), K.RECOVERED, S.VACATE, (A.VACATE_OLD,)),
]
MOVING = [
    Row("18: the copy ahead fails", at(S.PRECOPY), K.FAIL, S.QUIESCE, (A.STEER_NEW, A.ASK_QUIESCE)),
    Row("18: it is slow", at(S.PRECOPY), K.TIMEOUT, S.QUIESCE, (A.CANCEL_WORK, A.ASK_QUIESCE)),
    Row("18: old dies", at(S.PRECOPY), K.OLD_DIED, S.COMMIT, (A.FORGET_OLD, A.LOSE_STATE, *COMMITS_ALONE)),
    Row("19: no SRP, cold", at(S.PRECOPY), K.MISSING, S.COMMIT, (A.LOSE_STATE, *COMMITS), policy=EXCLUSIVE),
    Row("19: no SRP, abort", at(S.PRECOPY), K.MISSING, S.ABORT, RESUMES, (A.LOSE_STATE,), STRICT),
    Row("20: old is busy", at(S.QUIESCE), K.FAIL, S.ABORT, RESUMES, LEAVES_OLD_ALONE, EXCLUSIVE),
    Row("21: old hangs", at(S.QUIESCE), K.TIMEOUT, S.ABORT, RESUMES, (*LEAVES_OLD_ALONE, A.KILL_NEW), EXCLUSIVE),
    Row("23: bad snapshot", at(S.SNAPSHOT), K.FAIL, S.ABORT, RESUMES, LEAVES_OLD_ALONE, EXCLUSIVE),
    Row("23: a cache is no reason", at(S.SNAPSHOT), K.FAIL, S.COMMIT, (A.LOSE_STATE, *COMMITS), policy=SHARED),
    Row("23: unless it is wanted", at(S.SNAPSHOT), K.FAIL, S.ABORT, RESUMES, (A.LOSE_STATE,), STRICT_SHARED),
    Row("24: old never dumps", at(S.SNAPSHOT), K.TIMEOUT, S.ABORT, RESUMES, LEAVES_OLD_ALONE, EXCLUSIVE),
    Row("24: nothing to dump", at(S.SNAPSHOT), K.MISSING, S.COMMIT, (A.LOSE_STATE, *COMMITS), policy=EXCLUSIVE),
    Row("25: old dies dumping", at(S.SNAPSHOT), K.OLD_DIED, S.COMMIT, (A.LOSE_STATE, *COMMITS_ALONE)),
    Row("27: new cannot take it, cold", at(S.RESTORE), K.MISSING, S.COMMIT, (A.LOSE_STATE, *COMMITS)),
    Row("27: abort", at(S.RESTORE), K.FAIL, S.ABORT, (*RESUMES, A.KILL_NEW, A.FORGET_NEW), LEAVES_OLD_ALONE),
    Row("28: new dies loading", at(S.RESTORE), K.NEW_DIED, S.ABORT, (*RESUMES, A.FORGET_NEW), LEAVES_OLD_ALONE),
    Row("29: no acknowledgement", at(S.RESTORE), K.TIMEOUT, S.ABORT, (*RESUMES, A.KILL_NEW), LEAVES_OLD_ALONE),
    Row("30: another digest", at(S.RESTORE), K.FAIL, S.ABORT, (*RESUMES, A.KILL_NEW), LEAVES_OLD_ALONE),
    Row("31: old dies, sealed", at(S.RESTORE), K.OLD_DIED, S.RESTORE, (A.STEER_NEW, A.FORGET_OLD), (A.LOSE_STATE,)),
    Row("31: loaded", at(S.RESTORE, **LOST), K.OK, S.COMMIT, COMMITS_ALONE, (A.LOSE_STATE,), EXCLUSIVE),
    Row("31: not loaded", at(S.RESTORE, **LOST), K.FAIL, S.STARTING, (A.KILL_NEW, *FALLS_BACK), policy=EXCLUSIVE),
    Row("31: nobody to resume", at(S.RESTORE, **LOST), K.BLACKOUT, S.RESTORE),
    Row("31: cold after all", at(S.RESTORE, **LOST), K.MISSING, S.COMMIT, (A.LOSE_STATE, *COMMITS_ALONE)),
    *(
        Row(f"32: blackout in {state.name}", at(state), K.BLACKOUT, S.ABORT, RESUMES, LEAVES_OLD_ALONE, EXCLUSIVE)
        for state in (S.QUIESCE, S.SNAPSHOT, S.RESTORE)
    ),
    Row("51: second reload", at(S.QUIESCE), K.RELOAD, S.QUIESCE, (A.QUEUE,), policy=COALESCES),
    Row("55: stop", at(S.SNAPSHOT), K.STOP, S.STOPPING, (A.RECORD_ABORTED, A.STOP_ALL)),
    Row("59: the daemon is killed", at(S.SNAPSHOT), K.RECOVERED, S.ABORT, RESUMES, LEAVES_OLD_ALONE),
    Row("59: half a memory", at(S.RESTORE), K.RECOVERED, S.ABORT, (*RESUMES, A.KILL_NEW), LEAVES_OLD_ALONE),
]
ABORTING = [
    Row("2: old never stopped", at(S.ABORT), K.FAIL, S.RUNNING, (A.KILL_NEW, A.RECORD_ABORTED), LEAVES_OLD_ALONE),
    Row("2: nor answers", at(S.ABORT), K.TIMEOUT, S.RUNNING, (A.KILL_NEW, A.RECORD_ABORTED), LEAVES_OLD_ALONE),
    Row(
        "21: old is dead to us, new is ready",
        at(S.ABORT, is_paused=True),
        K.TIMEOUT,
        S.COMMIT,
        (A.KILL_OLD, A.FORGET_OLD, A.LOSE_STATE, *COMMITS_ALONE),
        (A.KILL_NEW, A.START_OLD),
        EXCLUSIVE,
    ),
    Row(
        "21: old has died, new is ready",
        at(S.ABORT, is_paused=True),
        K.OLD_DIED,
        S.COMMIT,
        COMMITS_ALONE,
        (A.KILL_NEW,),
    ),
    Row("21: nobody is left", at(S.ABORT, is_paused=True, new=0), K.FAIL, S.STARTING, (A.KILL_OLD, *FALLS_BACK)),
    Row("16: old dies, new is not ready", at(S.ABORT), K.OLD_DIED, S.STARTING, (A.KILL_NEW, *FALLS_BACK)),
    Row("28: new dies as well", at(S.ABORT), K.NEW_DIED, S.ABORT, (A.FORGET_NEW,), (A.RECORD_ABORTED,)),
    Row("32: it is being resumed already", at(S.ABORT, is_paused=True), K.BLACKOUT, S.ABORT, never=(A.KILL_OLD,)),
    Row("55: stop", at(S.ABORT), K.STOP, S.STOPPING, (A.RECORD_ABORTED, A.STOP_ALL)),
    Row("59: the daemon is killed", at(S.ABORT), K.RECOVERED, S.ABORT, RESUMES),
]
COMMITTING = [
    Row("33: it cannot be written down", at(S.COMMIT), K.FAIL, S.ROLLBACK, GOES_BACK, LEAVES_OLD_ALONE),
    Row("34: new does not confirm", at(S.COMMIT), K.TIMEOUT, S.ROLLBACK, GOES_BACK, LEAVES_OLD_ALONE),
    Row("34: blackout", at(S.COMMIT), K.BLACKOUT, S.ROLLBACK, GOES_BACK, LEAVES_OLD_ALONE),
    Row("34: new dies", at(S.COMMIT), K.NEW_DIED, S.ROLLBACK, (*GOES_BACK, A.FORGET_NEW), LEAVES_OLD_ALONE),
    Row("34: nobody to go back to", at(S.COMMIT, old=0), K.TIMEOUT, S.STARTING, (A.KILL_ALL, *FALLS_BACK)),
    Row("34: blackout, nobody to go back to", at(S.COMMIT, old=0), K.BLACKOUT, S.COMMIT),
    Row("39: both die", at(S.COMMIT, old=0), K.NEW_DIED, S.STARTING, FALLS_BACK),
    Row("38: old dies", at(S.COMMIT), K.OLD_DIED, S.COMMIT, (A.STEER_NEW, A.FORGET_OLD), (A.CANCEL_WORK,)),
    Row("38: then", at(S.COMMIT, old=0), K.OK, S.SOAK_NO_NET, (A.STEER_NEW, A.WATCH_NEW)),
    Row("59: committed", at(S.COMMIT), K.RECOVERED, S.COMMIT, COMMITS, (A.FENCE_NEW,)),
    Row("59: committed alone", at(S.COMMIT, old=0), K.RECOVERED, S.COMMIT, COMMITS_ALONE),
]
SOAKING = [
    Row("35: new dies", at(S.SOAK), K.NEW_DIED, S.ROLLBACK, (*GOES_BACK, A.FORGET_NEW), LEAVES_OLD_ALONE),
    Row("36: unhealthy", at(S.SOAK), K.UNHEALTHY, S.ROLLBACK, GOES_BACK, LEAVES_OLD_ALONE, EXCLUSIVE),
    Row("37: probes say nothing", at(S.SOAK), K.TIMEOUT, S.SOAK, (A.EXTEND,)),
    Row("37: once more", at(S.SOAK, has_extended=True), K.TIMEOUT, S.ROLLBACK, GOES_BACK),
    Row("38: old dies", at(S.SOAK), K.OLD_DIED, S.SOAK_NO_NET, (A.STEER_NEW, A.FORGET_OLD)),
    Row("38: serving badly", at(S.SOAK_NO_NET), K.UNHEALTHY, S.SOAK_NO_NET, never=(A.KILL_NEW,)),
    Row("39: new dies too", at(S.SOAK_NO_NET), K.NEW_DIED, S.STARTING, FALLS_BACK),
    Row("42: new exits 0", at(S.SOAK), K.NEW_DIED, S.ROLLBACK, GOES_BACK),
    Row("43: flapping", at(S.SOAK, step=1), K.FLAPPING, S.SOAK, (A.STEP_BACK, A.STEER_STEP), policy=CANARY),
    Row("43: twice", at(S.SOAK, step=1, has_stepped_back=True), K.FLAPPING, S.ROLLBACK, GOES_BACK, policy=CANARY),
    Row("43: at the first weight", at(S.SOAK), K.FLAPPING, S.ROLLBACK, GOES_BACK, policy=CANARY),
    Row("43: at a weight by hand", at(S.SOAK, step=1, is_held=True), K.FLAPPING, S.ROLLBACK, GOES_BACK, policy=CANARY),
    Row("52: second reload", at(S.SOAK), K.RELOAD, S.SOAK, (A.QUEUE,), policy=COALESCES),
    Row("56: stop", at(S.SOAK), K.STOP, S.STOPPING, (A.RECORD_ABORTED, A.STOP_ALL)),
    Row("59: the daemon is killed", at(S.SOAK), K.RECOVERED, S.SOAK, (A.STEER_STEP, A.WATCH_NEW)),
    Row("59: a weight by hand stays", at(S.SOAK, is_held=True), K.RECOVERED, S.SOAK, (A.WATCH_NEW,), (A.STEER_STEP,)),
    Row("59: without a net", at(S.SOAK_NO_NET), K.RECOVERED, S.SOAK_NO_NET, (A.STEER_NEW, A.WATCH_NEW)),
    Row("time is over", at(S.SOAK), K.TIMEOUT, S.SOAK, (A.STEP_ON, A.STEER_STEP), policy=CANARY, reason=""),
    Row("at the last weight", at(S.SOAK, step=2), K.TIMEOUT, S.PROMOTE, (A.JOURNAL,), policy=CANARY, reason=""),
    Row("an operator holds it", at(S.SOAK, is_held=True), K.TIMEOUT, S.SOAK, never=(A.STEP_ON,), policy=CANARY),
    Row("an operator sets it", at(S.SOAK), K.WEIGHT, S.SOAK, (A.HOLD, A.STEER_BY_HAND)),
    Row("an operator ends it", at(S.SOAK), K.PROMOTE, S.PROMOTE, (A.STEER_NEW, A.JOURNAL)),
    Row("an operator wants back", at(S.SOAK), K.ROLLBACK, S.ROLLBACK, GOES_BACK),
]
BOTH_LIVE = at(S.ROLLBACK, is_paused=True)
ROLLING_BACK = [
    Row("36: old serves", BOTH_LIVE, K.OK, S.RUNNING, (A.KILL_NEW, A.RECORD_ROLLED_BACK), LEAVES_OLD_ALONE),
    Row("36: new dies meanwhile", BOTH_LIVE, K.NEW_DIED, S.ROLLBACK, (A.FORGET_NEW,)),
    Row(
        "40: old cannot resume, new lives",
        BOTH_LIVE,
        K.TIMEOUT,
        S.RESCUE,
        (A.RECORD_DEGRADED, A.KILL_OLD, A.REPLACE_OLD, *RESUMES),
        (A.KILL_NEW,),
        EXCLUSIVE,
    ),
    Row("40: old dies, new lives", at(S.ROLLBACK), K.OLD_DIED, S.RESCUE, (A.REPLACE_OLD, *RESUMES), (A.KILL_NEW,)),
    Row("40: new is dead", at(S.ROLLBACK, is_paused=True, new=0), K.FAIL, S.STARTING, (A.KILL_OLD, *FALLS_BACK)),
    Row("40: both die", at(S.ROLLBACK, new=0), K.OLD_DIED, S.STARTING, FALLS_BACK),
    Row("40: old never stopped", at(S.ROLLBACK), K.FAIL, S.RUNNING, (A.RECORD_ROLLED_BACK,), LEAVES_OLD_ALONE),
    Row("40: new serves", at(S.RESCUE), K.OK, S.SPAWN, (A.BEGIN, A.SPAWN_NEW), LEAVES_OLD_ALONE),
    Row("40: new does not", at(S.RESCUE), K.TIMEOUT, S.STARTING, (A.KILL_OLD, A.START_OLD)),
    Row("40: new cannot", at(S.RESCUE), K.FAIL, S.STARTING, (A.KILL_OLD, A.START_OLD)),
    Row("40: new dies", at(S.RESCUE), K.OLD_DIED, S.STARTING, (A.START_OLD,)),
    Row("56: stop", BOTH_LIVE, K.STOP, S.STOPPING, (A.RECORD_ROLLED_BACK, A.STOP_ALL)),
    Row("56: stop in a rescue", at(S.RESCUE), K.STOP, S.STOPPING, (A.STOP_ALL,), (A.RECORD_ABORTED,)),
    Row("59: the daemon is killed", BOTH_LIVE, K.RECOVERED, S.ROLLBACK, GOES_BACK),
    Row("59: in a rescue", at(S.RESCUE), K.RECOVERED, S.RESCUE, RESUMES),
]
ENDING = [
    Row("33: not written down", at(S.PROMOTE), K.FAIL, S.DRAIN, (A.SUCCEED, A.WATCH_NEW, A.DRAIN_OLD)),
    Row("35: new dies", at(S.PROMOTE), K.NEW_DIED, S.ROLLBACK, (*GOES_BACK, A.FORGET_NEW)),
    Row("39: both die", at(S.PROMOTE, old=0), K.NEW_DIED, S.STARTING, FALLS_BACK),
    Row("38: old dies", at(S.PROMOTE), K.OLD_DIED, S.PROMOTE, (A.FORGET_OLD,)),
    Row("31: alone, with memory", at(S.PROMOTE, old=0), K.OK, S.RUNNING, (A.SUCCEED, A.REPLACE_OLD), (A.SUCCEED_COLD,)),
    Row("25: alone, cold", at(S.PROMOTE, old=0, is_cold=True), K.OK, S.RUNNING, (A.SUCCEED_COLD, A.REPLACE_OLD)),
    Row("24: never silently", at(S.PROMOTE, is_cold=True), K.OK, S.DRAIN, (A.SUCCEED_COLD, A.DRAIN_OLD), (A.SUCCEED,)),
    Row("44: too late", at(S.PROMOTE), K.CANCEL, S.PROMOTE, (A.REFUSE,)),
    Row("44: too late to roll back", at(S.DRAIN), K.ROLLBACK, S.DRAIN, (A.REFUSE,)),
    Row("45: new dies", at(S.DRAIN), K.NEW_DIED, S.STARTING, (A.REPLACE_OLD, A.COUNT_DEATH, A.START_OLD)),
    Row("45: new hangs", at(S.DRAIN), K.UNHEALTHY, S.RUNNING, (A.REPLACE_OLD, A.KILL_OLD)),
    Row("46: old ignores TERM", at(S.DRAIN), K.TIMEOUT, S.RUNNING, (A.KILL_OLD, A.REPLACE_OLD, A.WATCH_OLD)),
    Row("47: old cannot be killed", at(S.DRAIN), K.TIMEOUT, S.RUNNING, (A.KILL_OLD, A.REPLACE_OLD)),
    Row("53: second reload", at(S.DRAIN), K.RELOAD, S.DRAIN, (A.QUEUE,)),
    Row("56: stop", at(S.DRAIN), K.STOP, S.STOPPING, (A.STOP_ALL,), (A.RECORD_ABORTED,)),
    Row("59: promoted", at(S.PROMOTE), K.RECOVERED, S.PROMOTE, (A.STEER_NEW, A.JOURNAL)),
    Row("59: draining", at(S.DRAIN), K.RECOVERED, S.DRAIN, (A.STEER_NEW, A.WATCH_NEW, A.DRAIN_OLD)),
    Row("old is gone", at(S.DRAIN), K.OLD_DIED, S.RUNNING, (A.REPLACE_OLD, A.WATCH_OLD)),
]
REPLACES = (A.CANCEL_WORK, A.KILL_OLD, A.FORGET_OLD, A.START_FRESH, A.AWAIT_READY)
ALONE = [
    Row("never ready", at(S.STARTING), K.TIMEOUT, S.STARTING, (A.CANCEL_WORK, A.KILL_OLD)),
    Row("cannot start", at(S.STARTING), K.FAIL, S.STARTING, (A.KILL_OLD,)),
    Row("a start is replaced by a reload", at(S.STARTING), K.RELOAD, S.STARTING, REPLACES),
    Row("a start is replaced by a rollback", at(S.STARTING), K.ROLLBACK, S.STARTING, REPLACES),
    Row("59: a start", at(S.STARTING), K.RECOVERED, S.STARTING, (A.AWAIT_READY,), (A.START_OLD,)),
    Row("a crash", at(S.RUNNING), K.OLD_DIED, S.STARTING, (A.COUNT_DEATH, A.START_OLD)),
    Row("a hanging process", at(S.RUNNING), K.UNHEALTHY, S.RUNNING, (A.KILL_OLD,)),
    Row("59: it runs", at(S.RUNNING), K.RECOVERED, S.RUNNING, (A.STEER_OLD, A.GRANT_OLD, A.WATCH_OLD)),
    Row("rollback of what has failed", Machine(S.FAILED), K.ROLLBACK, S.STARTING, (A.START_FRESH,)),
    Row("reload of what has failed", Machine(S.FAILED), K.RELOAD, S.STARTING, (A.START_FRESH,)),
    Row("reload instead of a wait", Machine(S.BACKOFF), K.RELOAD, S.STARTING, (A.START_FRESH,)),
    Row("56: one is left", at(S.STOPPING), K.OLD_DIED, S.STOPPING, (A.FORGET_OLD,)),
    Row("56: the last one", at(S.STOPPING, new=0), K.OLD_DIED, S.STOPPED),
    Row("56: the new one is the last one", at(S.STOPPING, old=0, lease=5), K.NEW_DIED, S.STOPPED),
    Row("56: they do not leave", at(S.STOPPING), K.TIMEOUT, S.STOPPING, (A.KILL_ALL,)),
    Row("56: nothing runs", at(S.STOPPING, old=0, new=0, lease=0), K.OK, S.STOPPED),
    Row("59: stopping", at(S.STOPPING), K.RECOVERED, S.STOPPING, (A.STOP_ALL,)),
]
ROWS = [*BEFORE, *MOVING, *ABORTING, *COMMITTING, *SOAKING, *ROLLING_BACK, *ENDING, *ALONE]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.machine.state.name}-{row.name}")
def test_what_goes_wrong_comes_to_the_right_end(row: Row) -> None:
    event = Event(row.kind, 1_000, row.machine.txn, row.reason, CRASH, must_queue=row.must_queue)
    decision = decide(row.machine, event, row.policy)
    done = [step.action for step in decision.steps]
    assert decision.machine.state is row.to
    assert [action for action in done if action in row.does] == list(row.does)
    assert not set(done) & set(row.never)


def test_a_late_message_of_an_earlier_handover_is_ignored() -> None:
    """Number 26."""
    for state in State:
        machine = at(state)
        for kind in Kind:
            decision = decide(machine, Event(kind, txn=1), PLAIN)
            assert (decision.machine, decision.steps, decision.rearms) == (machine, (), False)
