"""One service as the handover table sees it, and the one function that moves it on.

`decide` is pure: machine, event and policy in; the new machine and the actions to perform out. What the daemon knows of
processes, sockets and files does not appear here: generations are numbers.
"""

from __future__ import annotations

from dataclasses import replace

from aeterna.supervisor.core.meanings import BOOKKEEPING, GUARDS, Situation
from aeterna.supervisor.core.records import Decision, HandoverPolicy, Machine, Step
from aeterna.supervisor.core.table import TABLE, Edge
from aeterna.supervisor.core.vocabulary import Action, Event, Kind, State


def decide(machine: Machine, event: Event, policy: HandoverPolicy) -> Decision:
    """The machine after an event, and what is to be done. An event of another handover changes nothing."""
    if event.txn and event.txn != machine.txn:
        return Decision(machine, (), rearms=False)
    situation = Situation(machine, event, policy)
    edge = next(edge for edge in TABLE[machine.state][event.kind] if _holds(edge, situation))
    after = replace(machine, reason=_reason(machine, event, edge))
    steps = []
    for action in edge.actions:
        keep = BOOKKEEPING.get(action)
        after = keep(after, situation) if keep else after
        generation = _generation_of(action, after)
        if generation or action not in _ABOUT:
            steps.append(Step(action, generation))
    runs_queued = after.is_queued and edge.to in _AT_REST
    after = replace(
        after,
        state=edge.to,
        # Whether the one that is to go on in a rescue accepts is not known before it says so.
        is_paused=(after.is_paused and edge.to in _PAUSABLE) or edge.to is State.RESCUE,
        is_queued=after.is_queued and not runs_queued,
    )
    _check(after)
    rearms = edge.to is not machine.state or event.kind in _REARMING or bool(_REARMS & set(edge.actions))
    return Decision(after, tuple(steps), rearms, runs_queued)


def _holds(edge: Edge, situation: Situation) -> bool:
    return all(GUARDS[guard](situation) for guard in edge.guards)


_SILENT = frozenset({Kind.OK, Kind.RECOVERED, Kind.CONFIG_CHANGED})
_REARMING = frozenset({Kind.TIMEOUT, Kind.RECOVERED})
_REARMS = frozenset({Action.STEP_ON, Action.STEP_BACK, Action.EXTEND, Action.HOLD})
_GOING_BACK = frozenset({State.ABORT, State.ROLLBACK, State.RESCUE})


def _reason(machine: Machine, event: Event, edge: Edge) -> str:
    """Why the machine is where it is. What changes nothing explains nothing. What goes wrong on the way back is added
    to why it went back; the deaths that follow from going back say nothing new."""
    if not event.reason or event.kind in _SILENT or (edge.to is machine.state and not edge.actions):
        return machine.reason
    if machine.state in _GOING_BACK:
        is_news = edge.to is not machine.state and machine.reason
        return f"{machine.reason}; {event.reason}" if is_news else machine.reason or event.reason
    return event.reason


def _generation_of(action: Action, machine: Machine) -> int:
    if action in _ABOUT_NEW:
        return machine.new
    if action is Action.AWAIT_READY:
        return machine.new or machine.old
    return machine.old if action in _ABOUT_OLD else 0


_ABOUT_NEW = frozenset(
    {Action.SPAWN_NEW, Action.GRANT_NEW, Action.ACCEPT_NEW, Action.FENCE_NEW, Action.KILL_NEW, Action.WATCH_NEW}
    | {Action.STEER_NEW, Action.STEER_STEP, Action.STEER_BY_HAND, Action.ASK_RESTORE}
)
_ABOUT_OLD = frozenset(
    {Action.START_OLD, Action.START_FRESH, Action.GRANT_OLD, Action.RESUME_OLD, Action.STEER_OLD, Action.WATCH_OLD}
    | {Action.VACATE_OLD, Action.DRAIN_OLD, Action.KILL_OLD, Action.REPLACE_OLD}
    | {Action.ASK_PRECOPY, Action.ASK_QUIESCE, Action.ASK_SNAPSHOT}
)
_ABOUT = _ABOUT_NEW | _ABOUT_OLD
"""What is about a generation that is not there is not done."""


def _check(machine: Machine) -> None:
    """What holds after every decision, in production too."""
    state, old, new = machine.state, machine.old, machine.new
    assert machine.lease in {0, old, new}, machine
    assert old <= machine.last, machine
    assert new <= machine.last, machine
    assert not new or old != new, machine
    assert state not in _WITHOUT_NEW or not new, machine
    assert state not in _WITHOUT_OLD or not old, machine
    assert state not in _WITH_OLD or old, machine
    assert state not in _WITH_NEW or new, machine
    assert state is not State.RUNNING or machine.lease == old, machine


_AT_REST = frozenset({State.STOPPED, State.RUNNING, State.BACKOFF, State.FAILED})
"""Where nothing is under way."""
_PAUSABLE = frozenset(
    {State.QUIESCE, State.SNAPSHOT, State.RESTORE, State.COMMIT, State.ABORT, State.ROLLBACK, State.RESCUE}
)
"""Where nobody may be accepting; in every other state a pause is over."""
_WITHOUT_NEW = _AT_REST | {State.STARTING, State.PREFLIGHT, State.VACATE, State.RESCUE}
_WITHOUT_OLD = frozenset({State.STOPPED, State.BACKOFF, State.FAILED, State.SOAK_NO_NET})
_WITH_OLD = frozenset(
    {State.RUNNING, State.STARTING, State.PREFLIGHT, State.VACATE, State.PRECOPY, State.QUIESCE, State.SNAPSHOT}
    | {State.SOAK, State.DRAIN, State.ABORT, State.ROLLBACK, State.RESCUE}
)
_WITH_NEW = frozenset(
    {State.SPAWN, State.WARMING, State.PRECOPY, State.QUIESCE, State.SNAPSHOT, State.RESTORE, State.COMMIT}
    | {State.SOAK, State.SOAK_NO_NET, State.PROMOTE, State.DRAIN}
)
