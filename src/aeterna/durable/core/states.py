"""The state table of a run: which event may arrive in which state, and where it leads.

Tests and the docs' state diagram read this same table. A pair that is not in it is illegal and raises.
"""

from __future__ import annotations

from enum import StrEnum

from aeterna.durable.core import events as ev
from aeterna.kernel.errors import IllegalTransitionError


class State(StrEnum):
    """The public state of a run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """True once no further event may arrive."""
        return self in FINAL


class Detail(StrEnum):
    """What a PENDING or RUNNING run is doing; empty for a finished one."""

    NONE = ""
    QUEUED = "queued"
    LEASED = "leased"
    SLEEPING = "sleeping"
    WAITING_CHILD = "waiting_child"
    WAITING_SIGNAL = "waiting_signal"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    PAUSED = "paused"
    STUCK = "stuck"

    @property
    def needs_no_worker(self) -> bool:
        """The run waits, or cannot go on: a process that dies meanwhile does not die of it."""
        return self in _NEED_NO_WORKER


_NEED_NO_WORKER = frozenset(
    {
        Detail.SLEEPING,
        Detail.WAITING_CHILD,
        Detail.WAITING_SIGNAL,
        Detail.RETRYING,
        Detail.PAUSED,
        Detail.STUCK,
    }
)

FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})

_WHILE_RUNNING: tuple[type[ev.Event], ...] = (
    ev.RunStarted,
    ev.StepCompleted,
    ev.StepFailed,
    ev.StepRetrying,
    ev.TimerStarted,
    ev.TimerFired,
    ev.ChildStarted,
    ev.ChildCompleted,
    ev.ChildFailed,
    ev.CancelRequested,
    ev.WaitAbandoned,
    ev.SignalReceived,
    ev.RunPaused,
    ev.RunResumed,
    ev.StepHeartbeat,
)

TRANSITIONS: dict[tuple[State | None, type[ev.Event]], State] = {
    (None, ev.RunCreated): State.PENDING,
    (State.PENDING, ev.RunStarted): State.RUNNING,
    (State.PENDING, ev.CancelRequested): State.PENDING,
    (State.PENDING, ev.RunPaused): State.PENDING,
    (State.PENDING, ev.RunResumed): State.PENDING,
    (State.PENDING, ev.RunCancelled): State.CANCELLED,
    **{(State.RUNNING, kind): State.RUNNING for kind in _WHILE_RUNNING},
    (State.RUNNING, ev.RunCompleted): State.COMPLETED,
    (State.RUNNING, ev.RunFailed): State.FAILED,
    (State.RUNNING, ev.RunCancelled): State.CANCELLED,
}
"""``(state, event type) -> next state``; state None is "no such run yet"."""


def next_state(state: State | None, kind: type[ev.Event]) -> State:
    """The state that ``kind`` leads to from ``state``; raises `IllegalTransitionError` where the table has no
    entry."""
    try:
        return TRANSITIONS[state, kind]
    except KeyError:
        raise IllegalTransitionError(f"event {kind.__name__} is illegal in state {state or 'none'}") from None
