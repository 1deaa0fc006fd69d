"""The handover table: for every state and every event, the edges that may be taken, first match first.

The daemon, the documentation and the tests read this one table. It is total: a pair that is not written here does
nothing, and says so by standing in the table with an edge that stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aeterna.supervisor.core.vocabulary import Action as A
from aeterna.supervisor.core.vocabulary import Guard as G
from aeterna.supervisor.core.vocabulary import Kind as K
from aeterna.supervisor.core.vocabulary import State as S


@dataclass(frozen=True, slots=True)
class Edge:
    """Where an event leads if all ``guards`` hold, and what is done on the way, in this order."""

    to: S
    actions: tuple[A, ...] = ()
    guards: tuple[G, ...] = ()


Rows = Mapping[K, tuple[Edge, ...]]


def _go(to: S, *actions: A) -> tuple[Edge, ...]:
    return (Edge(to, actions),)


def _when(guards: G | tuple[G, ...], to: S, *actions: A) -> Edge:
    return Edge(to, actions, guards if isinstance(guards, tuple) else (guards,))


ASKED = frozenset({K.START, K.RESTART, K.RELOAD, K.CANCEL, K.PROMOTE, K.ROLLBACK, K.WEIGHT})
"""What operators ask for; STOP is never refused."""


def _refused_while(state: S) -> dict[K, tuple[Edge, ...]]:
    """What nobody expects in this state changes nothing; what an operator cannot have in it is refused."""
    return {kind: (Edge(state, (A.REFUSE,) if kind in ASKED else ()),) for kind in K}


_START_FRESH = _go(S.STARTING, A.START_FRESH, A.AWAIT_READY)
_START_OLD = (A.START_OLD, A.AWAIT_READY)
_BEGIN = (A.CANCEL_WORK, A.BEGIN)


def _after_death(*actions: A) -> tuple[Edge, ...]:
    """The process that served has died, and the restart policy says what comes of it."""
    died = (*actions, A.CANCEL_WORK, A.COUNT_DEATH, A.FORGET_OLD)
    return (
        _when(G.RESTARTS_NOW, S.STARTING, *died, *_START_OLD),
        _when(G.RESTARTS_LATER, S.BACKOFF, *died),
        _when(G.IS_DONE, S.STOPPED, *died, A.LEAVE),
        Edge(S.FAILED, (*died, A.GIVE_UP)),
    )


# --- going back ------------------------------------------------------------------------------------------------------

_FALL_BACK = Edge(
    S.STARTING,
    (A.CANCEL_WORK, A.KILL_NEW, A.FORGET_NEW, A.KILL_OLD, A.FORGET_OLD, A.RECORD_DEGRADED, *_START_OLD),
)
"""The last good version starts anew, with the stored snapshot."""
_FALL_BACK_ALONE = _when(G.OLD_LOST, _FALL_BACK.to, *_FALL_BACK.actions)
_FALL_BACK_KILLING = _when(
    G.OLD_LOST,
    S.STARTING,
    *(A.CANCEL_WORK, A.KILL_ALL, A.FORGET_NEW, A.RECORD_DEGRADED, *_START_OLD),
)
"""The new generation may have been given the lease, and nobody is left who could wait until it has let go of it."""
_FALL_BACK_DARK = _when(G.IS_PAUSED, _FALL_BACK.to, *_FALL_BACK.actions)
_RESUME_OLD = (A.CANCEL_WORK, A.STEER_OLD, A.GRANT_OLD, A.RESUME_OLD)
_ABORT = _go(S.ABORT, *_RESUME_OLD)
_ABORT_NEW = _go(S.ABORT, *_RESUME_OLD, A.KILL_NEW, A.FORGET_NEW)
"""An abort in which the new generation is of no use whatever happens: it is dead, unwanted, or broken."""
_ROLLBACK_STEPS = (A.CANCEL_WORK, A.STEER_OLD, A.FENCE_NEW, A.GRANT_OLD, A.RESUME_OLD)
_ROLLBACK = _go(S.ROLLBACK, *_ROLLBACK_STEPS)
_ROLLBACK_DEAD = _go(S.ROLLBACK, *_ROLLBACK_STEPS, A.FORGET_NEW)
_ABORTED = Edge(S.RUNNING, (A.KILL_NEW, A.FORGET_NEW, A.RECORD_ABORTED, A.WATCH_OLD))
_ROLLED_BACK = Edge(S.RUNNING, (A.KILL_NEW, A.FORGET_NEW, A.RECORD_ROLLED_BACK, A.WATCH_OLD))
_SWAP = (
    *(A.CANCEL_WORK, A.RECORD_DEGRADED, A.KILL_OLD, A.FORGET_OLD, A.REPLACE_OLD),
    *(A.STEER_OLD, A.GRANT_OLD, A.RESUME_OLD),
)
"""A generation that serves badly is better than none: it goes on, and the last good version is started beside it."""

# --- going forward ---------------------------------------------------------------------------------------------------

_COMMIT = (A.STEER_STEP, A.JOURNAL, A.GRANT_NEW, A.ACCEPT_NEW)
_COMMIT_ALONE = (A.STEER_NEW, A.JOURNAL, A.GRANT_NEW, A.ACCEPT_NEW)
_LOSE_STATE = (A.CANCEL_WORK, A.LOSE_STATE)
_LOSE_OLD = _go(S.COMMIT, A.FORGET_OLD, *_LOSE_STATE, *_COMMIT_ALONE)
"""The old generation died with its memory before that was safe."""
_WITHOUT_STATE = (
    _when(G.ABORTS_WITHOUT_STATE, S.ABORT, *_RESUME_OLD),
    Edge(S.COMMIT, (*_LOSE_STATE, *_COMMIT)),
)
"""The state cannot be moved: the configuration decides."""
_WITHOUT_CACHE = (
    _when(G.ABORTS_WITHOUT_STATE, S.ABORT, *_RESUME_OLD),
    _when(G.SHARES_STATE, S.COMMIT, *_LOSE_STATE, *_COMMIT),
    Edge(S.ABORT, _RESUME_OLD),
)
"""Trouble with a snapshot: a cache can be done without, unless the configuration says otherwise."""
_ROLL_FORWARD = _when(
    (G.IS_PAUSED, G.NEW_LIVES),
    S.COMMIT,
    *(A.CANCEL_WORK, A.KILL_OLD, A.FORGET_OLD, A.LOSE_STATE, *_COMMIT_ALONE),
)
"""The old generation has stopped accepting and cannot go on, and the new one is ready: better cold than dark."""
_PROMOTE = _go(S.PROMOTE, A.CANCEL_WORK, A.STEER_NEW, A.JOURNAL)
_PROMOTED = (
    _when((G.OLD_LOST, G.IS_COLD), S.RUNNING, A.SUCCEED_COLD, A.REPLACE_OLD, A.WATCH_OLD),
    _when(G.OLD_LOST, S.RUNNING, A.SUCCEED, A.REPLACE_OLD, A.WATCH_OLD),
    _when(G.IS_COLD, S.DRAIN, A.SUCCEED_COLD, A.WATCH_NEW, A.DRAIN_OLD),
    Edge(S.DRAIN, (A.SUCCEED, A.WATCH_NEW, A.DRAIN_OLD)),
)
_REPLACED = (A.REPLACE_OLD, A.WATCH_OLD)

# --- what many states have in common ---------------------------------------------------------------------------------


def _stop(*verdict: A) -> tuple[Edge, ...]:
    return _go(S.STOPPING, A.CANCEL_WORK, *verdict, A.STOP_ALL)


def _in_handover(state: S) -> dict[K, tuple[Edge, ...]]:
    """What holds in every state of a handover, before its own rows. A stop is its verdict, too."""
    return {
        **_refused_while(state),
        K.RELOAD: (_when(G.MAY_QUEUE, state, A.QUEUE), Edge(state, (A.REFUSE,))),
        K.STOP: _stop(A.RECORD_ABORTED),
    }


def _before_commit(state: S, *alone: Edge) -> dict[K, tuple[Edge, ...]]:
    """Before the commit every trouble ends in ABORT, and the daemon's own death too; ``alone``: what comes before that
    where the old generation may be lost, so that there is nothing to resume."""
    return {
        **_in_handover(state),
        K.FAIL: (*alone, *_ABORT),
        K.TIMEOUT: (*alone, *_ABORT),
        K.NEW_DIED: (*alone, *_ABORT_NEW),
        K.CANCEL: (*alone, *_ABORT_NEW),
        K.RECOVERED: (*alone, *_ABORT),
    }


TABLE: Mapping[S, Rows] = {
    S.STOPPED: {
        **_refused_while(S.STOPPED),
        K.START: _START_FRESH,
        K.RESTART: _START_FRESH,
        K.RELOAD: _START_FRESH,
    },
    S.STARTING: {
        **_refused_while(S.STARTING),
        K.OK: _go(S.RUNNING, A.STEER_OLD, A.GRANT_OLD, A.WATCH_OLD),
        K.FAIL: _go(S.STARTING, A.KILL_OLD),
        K.TIMEOUT: _go(S.STARTING, A.CANCEL_WORK, A.KILL_OLD),
        K.OLD_DIED: _after_death(),
        # Nobody serves, and this start may never come to anything: what is wanted now replaces it.
        **dict.fromkeys(
            (K.RELOAD, K.RESTART, K.ROLLBACK),
            _go(S.STARTING, A.CANCEL_WORK, A.KILL_OLD, A.FORGET_OLD, *_START_FRESH[0].actions),
        ),
        K.STOP: _stop(),
        K.RECOVERED: _go(S.STARTING, A.AWAIT_READY),
    },
    S.RUNNING: {
        **_refused_while(S.RUNNING),
        K.OLD_DIED: _after_death(),
        K.UNHEALTHY: _go(S.RUNNING, A.KILL_OLD),
        # A restart is a handover of the version that runs, in which the old generation leaves first.
        K.RESTART: _go(S.VACATE, *_BEGIN, A.VACATE_OLD),
        K.RELOAD: _go(S.PREFLIGHT, *_BEGIN, A.RUN_CHECKS),
        K.ROLLBACK: _go(S.PREFLIGHT, *_BEGIN, A.RUN_CHECKS),
        K.STOP: _stop(),
        K.RECOVERED: _go(S.RUNNING, A.STEER_OLD, A.GRANT_OLD, A.WATCH_OLD),
    },
    S.BACKOFF: {
        **_refused_while(S.BACKOFF),
        K.TIMEOUT: _go(S.STARTING, *_START_OLD),
        K.START: _go(S.STARTING, *_START_OLD),
        K.RESTART: _go(S.STARTING, *_START_OLD),
        K.RELOAD: _START_FRESH,
        K.ROLLBACK: _START_FRESH,
        K.STOP: _go(S.STOPPED, A.CANCEL_WORK),
    },
    S.FAILED: {
        **_refused_while(S.FAILED),
        K.START: _START_FRESH,
        K.RESTART: _START_FRESH,
        K.RELOAD: _START_FRESH,
        K.ROLLBACK: _START_FRESH,
        K.STOP: _go(S.STOPPED),
    },
    S.STOPPING: {
        **_refused_while(S.STOPPING),
        K.OK: (_when(G.NONE_LEFT, S.STOPPED, A.CANCEL_WORK), Edge(S.STOPPING)),
        K.OLD_DIED: (_when(G.NONE_LEFT, S.STOPPED, A.FORGET_OLD, A.CANCEL_WORK), Edge(S.STOPPING, (A.FORGET_OLD,))),
        K.NEW_DIED: (_when(G.NONE_LEFT, S.STOPPED, A.FORGET_NEW, A.CANCEL_WORK), Edge(S.STOPPING, (A.FORGET_NEW,))),
        K.TIMEOUT: _go(S.STOPPING, A.KILL_ALL),
        K.STOP: _go(S.STOPPING),
        K.RECOVERED: _go(S.STOPPING, A.STOP_ALL),
    },
    S.PREFLIGHT: {
        **_before_commit(S.PREFLIGHT),
        K.OK: (
            _when(G.STOPS_FIRST, S.VACATE, A.VACATE_OLD),
            Edge(S.SPAWN, (A.SPAWN_NEW,)),
        ),
        K.OLD_DIED: _after_death(A.RECORD_DEGRADED),
    },
    S.VACATE: {
        **_in_handover(S.VACATE),
        K.OLD_DIED: _go(S.SPAWN, A.FORGET_OLD, A.SPAWN_NEW),
        K.TIMEOUT: _go(S.VACATE, A.KILL_OLD),
        K.RECOVERED: _go(S.VACATE, A.VACATE_OLD),
    },
    S.SPAWN: {
        **_before_commit(S.SPAWN, _FALL_BACK_ALONE),
        K.OK: (
            _when(G.OLD_LOST, S.WARMING, A.STEER_NEW, A.AWAIT_READY),
            Edge(S.WARMING, (A.AWAIT_READY,)),
        ),
        K.OLD_DIED: _go(S.SPAWN, A.FORGET_OLD),
    },
    S.WARMING: {
        **_before_commit(S.WARMING, _FALL_BACK_ALONE),
        K.OK: (
            _when(G.MOVES_STATE, S.PRECOPY, A.ASK_PRECOPY),
            _when(G.SHARES_STATE, S.SNAPSHOT, A.ASK_SNAPSHOT),
            _when(G.OLD_LOST, S.COMMIT, *_LOSE_STATE, *_COMMIT_ALONE),
            Edge(S.COMMIT, _COMMIT),
        ),
        # Connections wait in the queue of the one that will serve them.
        K.OLD_DIED: _go(S.WARMING, A.STEER_NEW, A.FORGET_OLD),
    },
    S.PRECOPY: {
        **_before_commit(S.PRECOPY),
        K.OK: _go(S.QUIESCE, A.STEER_NEW, A.ASK_QUIESCE),
        # A copy ahead is for speed only.
        K.FAIL: _go(S.QUIESCE, A.STEER_NEW, A.ASK_QUIESCE),
        K.TIMEOUT: _go(S.QUIESCE, A.CANCEL_WORK, A.STEER_NEW, A.ASK_QUIESCE),
        K.MISSING: _WITHOUT_STATE,
        K.OLD_DIED: _LOSE_OLD,
    },
    S.QUIESCE: {
        **_before_commit(S.QUIESCE),
        K.OK: _go(S.SNAPSHOT, A.ASK_SNAPSHOT),
        K.MISSING: _WITHOUT_STATE,
        K.BLACKOUT: _ABORT,
        K.OLD_DIED: _LOSE_OLD,
    },
    S.SNAPSHOT: {
        **_before_commit(S.SNAPSHOT),
        K.OK: _go(S.RESTORE, A.ASK_RESTORE),
        K.FAIL: _WITHOUT_CACHE,
        K.TIMEOUT: _WITHOUT_CACHE,
        K.MISSING: _WITHOUT_STATE,
        K.BLACKOUT: _ABORT,
        K.OLD_DIED: _LOSE_OLD,
    },
    S.RESTORE: {
        **_before_commit(S.RESTORE, _FALL_BACK_ALONE),
        K.OK: (_when(G.OLD_LOST, S.COMMIT, *_COMMIT_ALONE), Edge(S.COMMIT, _COMMIT)),
        # Half a memory is worse than none.
        **dict.fromkeys((K.FAIL, K.TIMEOUT, K.RECOVERED), (_FALL_BACK_ALONE, *_ABORT_NEW)),
        K.MISSING: (
            _when(G.OLD_LOST, S.COMMIT, *_LOSE_STATE, *_COMMIT_ALONE),
            Edge(S.COMMIT, (*_LOSE_STATE, *_COMMIT)),
        ),
        # With nobody to resume, the new one is the fastest way out of the pause.
        K.BLACKOUT: (_when(G.OLD_LOST, S.RESTORE), *_ABORT_NEW),
        # The snapshot is sealed and complete, so the handover goes on without a way back.
        K.OLD_DIED: _go(S.RESTORE, A.STEER_NEW, A.FORGET_OLD),
    },
    S.COMMIT: {
        **_in_handover(S.COMMIT),
        K.OK: (
            _when(G.OLD_LOST, S.SOAK_NO_NET, A.STEER_NEW, A.WATCH_NEW),
            _when(G.SOAKS, S.SOAK, A.WATCH_NEW),
            *_PROMOTE,
        ),
        K.FAIL: (_FALL_BACK_KILLING, *_ROLLBACK),
        K.TIMEOUT: (_FALL_BACK_KILLING, *_ROLLBACK),
        K.BLACKOUT: (_when(G.OLD_LOST, S.COMMIT), *_ROLLBACK),
        K.NEW_DIED: (_FALL_BACK_ALONE, *_ROLLBACK_DEAD),
        K.OLD_DIED: _go(S.COMMIT, A.STEER_NEW, A.FORGET_OLD),
        K.RECOVERED: (_when(G.OLD_LOST, S.COMMIT, *_COMMIT_ALONE), Edge(S.COMMIT, _COMMIT)),
    },
    S.SOAK: {
        **_in_handover(S.SOAK),
        K.TIMEOUT: (
            _when(G.IS_HELD, S.SOAK),
            _when(G.MAY_EXTEND, S.SOAK, A.EXTEND),
            _when(G.SAYS_NOTHING, S.ROLLBACK, *_ROLLBACK_STEPS),
            _when(G.HAS_MORE_STEPS, S.SOAK, A.STEP_ON, A.STEER_STEP),
            *_PROMOTE,
        ),
        K.UNHEALTHY: _ROLLBACK,
        K.FLAPPING: (_when(G.MAY_STEP_BACK, S.SOAK, A.STEP_BACK, A.STEER_STEP), *_ROLLBACK),
        K.NEW_DIED: _ROLLBACK_DEAD,
        K.OLD_DIED: _go(S.SOAK_NO_NET, A.STEER_NEW, A.FORGET_OLD),
        K.CANCEL: _ROLLBACK,
        K.ROLLBACK: _ROLLBACK,
        K.PROMOTE: _PROMOTE,
        K.WEIGHT: _go(S.SOAK, A.HOLD, A.STEER_BY_HAND),
        # A share that was set by hand is in force still.
        K.RECOVERED: (_when(G.IS_HELD, S.SOAK, A.WATCH_NEW), Edge(S.SOAK, (A.STEER_STEP, A.WATCH_NEW))),
    },
    S.SOAK_NO_NET: {
        **_in_handover(S.SOAK_NO_NET),
        K.TIMEOUT: _PROMOTE,
        K.PROMOTE: _PROMOTE,
        # Serving badly is better than not serving.
        K.UNHEALTHY: _go(S.SOAK_NO_NET),
        K.NEW_DIED: (_FALL_BACK,),
        K.RECOVERED: _go(S.SOAK_NO_NET, A.STEER_NEW, A.WATCH_NEW),
    },
    S.PROMOTE: {
        **_in_handover(S.PROMOTE),
        K.OK: _PROMOTED,
        # What cannot be written down cannot be taken back either: the new one serves already.
        K.FAIL: _PROMOTED,
        K.TIMEOUT: _PROMOTED,
        K.NEW_DIED: (_FALL_BACK_ALONE, *_ROLLBACK_DEAD),
        K.OLD_DIED: _go(S.PROMOTE, A.FORGET_OLD),
        K.RECOVERED: _go(S.PROMOTE, A.STEER_NEW, A.JOURNAL),
    },
    S.DRAIN: {
        **_in_handover(S.DRAIN),
        K.OK: _go(S.RUNNING, *_REPLACED),
        K.OLD_DIED: _go(S.RUNNING, *_REPLACED),
        # One that even the kernel cannot end must not hold up what comes next.
        K.TIMEOUT: _go(S.RUNNING, A.KILL_OLD, *_REPLACED),
        # The old one finishes what it has and leaves by itself; the new version is started again.
        K.NEW_DIED: _after_death(A.REPLACE_OLD),
        K.UNHEALTHY: _go(S.RUNNING, A.REPLACE_OLD, A.KILL_OLD),
        K.RELOAD: _go(S.DRAIN, A.QUEUE),
        K.STOP: _stop(),
        K.RECOVERED: _go(S.DRAIN, A.STEER_NEW, A.WATCH_NEW, A.DRAIN_OLD),
    },
    S.ABORT: {
        **_in_handover(S.ABORT),
        K.OK: (_ABORTED,),
        # One that never stopped accepting serves, whether it answers us or not.
        K.FAIL: (_ROLL_FORWARD, _FALL_BACK_DARK, _ABORTED),
        K.TIMEOUT: (_ROLL_FORWARD, _FALL_BACK_DARK, _ABORTED),
        K.OLD_DIED: (_ROLL_FORWARD, _FALL_BACK),
        K.NEW_DIED: _go(S.ABORT, A.FORGET_NEW),
        K.RECOVERED: _go(S.ABORT, *_RESUME_OLD),
    },
    S.ROLLBACK: {
        **_in_handover(S.ROLLBACK),
        K.OK: (_ROLLED_BACK,),
        K.FAIL: (_when((G.IS_PAUSED, G.NEW_LIVES), S.RESCUE, *_SWAP), _FALL_BACK_DARK, _ROLLED_BACK),
        K.TIMEOUT: (_when((G.IS_PAUSED, G.NEW_LIVES), S.RESCUE, *_SWAP), _FALL_BACK_DARK, _ROLLED_BACK),
        K.OLD_DIED: (_when(G.NEW_LIVES, S.RESCUE, *_SWAP), _FALL_BACK),
        K.NEW_DIED: _go(S.ROLLBACK, A.FORGET_NEW),
        K.STOP: _stop(A.RECORD_ROLLED_BACK),
        K.RECOVERED: _go(S.ROLLBACK, *_ROLLBACK_STEPS),
    },
    S.RESCUE: {
        **_in_handover(S.RESCUE),
        K.OK: _go(S.SPAWN, A.BEGIN, A.SPAWN_NEW),
        K.FAIL: _go(S.STARTING, A.KILL_OLD, A.FORGET_OLD, *_START_OLD),
        K.TIMEOUT: _go(S.STARTING, A.CANCEL_WORK, A.KILL_OLD, A.FORGET_OLD, *_START_OLD),
        K.OLD_DIED: _go(S.STARTING, A.CANCEL_WORK, A.FORGET_OLD, *_START_OLD),
        K.STOP: _stop(),
        K.RECOVERED: _go(S.RESCUE, *_RESUME_OLD),
    },
}
