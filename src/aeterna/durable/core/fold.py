"""The state of a run: the fold of its history. Writing and loading use the same `apply`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aeterna.durable.core import events as ev
from aeterna.durable.core.cursor import key_of
from aeterna.durable.core.identity import Key, Kind
from aeterna.durable.core.states import Detail, State, next_state
from aeterna.kernel.errors import InvariantError


class Retry:
    """Where a retried step stands: ``attempt`` is the next one, not before ``next_us``."""

    __slots__ = ("attempt", "next_us")

    def __init__(self, attempt: int, next_us: int) -> None:
        self.attempt = attempt
        self.next_us = next_us


class Run:
    """What a history says about its run. Only `apply` changes it.

    ``timers``, ``children`` and ``retries`` hold what has begun and not ended, ``heartbeats`` what unfinished
    activities told last; ``last_us`` is the time of the last event. ``last_message`` is the number of the last message
    that is recorded: numbers rise, so one that is not higher is recorded already. ``origin`` and ``affinity``: see
    `ev.RunCreated`."""

    __slots__ = (
        "affinity",
        "arguments",
        "cancel_reason",
        "children",
        "created_us",
        "error",
        "heartbeats",
        "is_paused",
        "last_message",
        "last_us",
        "length",
        "origin",
        "parent",
        "python",
        "result",
        "retries",
        "state",
        "steps_completed",
        "timers",
        "version",
        "workflow",
    )

    def __init__(self) -> None:
        self.state: State | None = None
        self.workflow = ""
        self.version = ""
        self.arguments = ev.Payload(b"")
        self.parent: str | None = None
        self.python = ""
        self.origin = ""
        self.affinity = ""
        self.created_us = 0
        self.last_us = 0
        self.length = 0
        self.steps_completed = 0
        self.timers: dict[Key, int] = {}
        self.children: dict[Key, str] = {}
        self.retries: dict[Key, Retry] = {}
        self.heartbeats: dict[Key, ev.Payload] = {}
        self.is_paused = False
        self.last_message = 0
        self.cancel_reason: str | None = None
        self.result: ev.Payload | None = None
        self.error: ev.ErrorRecord | None = None


def apply(run: Run, event: ev.AnyEvent) -> None:
    """Add one event to the state; raises `IllegalTransitionError` if the state table has no place for it."""
    kind = type(event)
    run.state = next_state(run.state, kind)
    effect = _EFFECTS.get(kind)
    if effect is not None:
        effect(run, event)
    run.length += 1
    run.last_us = event.at_us


def fold(events: Iterable[ev.AnyEvent]) -> Run:
    """The state after a whole history."""
    run = Run()
    for event in events:
        apply(run, event)
    return run


def detail_of(run: Run, *, executing: bool, signals: bool = False) -> Detail:
    """What to call the run's present occupation; ``executing``: a step of it runs right now; ``signals``: it waits for
    one."""
    if run.state is None or run.state.is_final:
        return Detail.NONE
    if run.cancel_reason is not None:
        return Detail.CANCELLING if run.state is State.RUNNING else Detail.QUEUED
    if executing:
        return Detail.LEASED
    if run.is_paused:
        return Detail.PAUSED
    if run.state is State.PENDING:
        return Detail.QUEUED
    if run.retries:
        return Detail.RETRYING
    if signals:
        return Detail.WAITING_SIGNAL
    if run.timers:
        return Detail.SLEEPING
    return Detail.WAITING_CHILD if run.children else Detail.LEASED


def next_wake_us(run: Run) -> int | None:
    """When the run wants to be awake again if nothing happens before; None = no timer or retry is set."""
    return min([*run.timers.values(), *(retry.next_us for retry in run.retries.values())], default=None)


def _created(run: Run, event: ev.RunCreated) -> None:
    run.workflow = event.workflow
    run.version = event.version
    run.arguments = event.arguments
    run.parent = event.parent
    run.python = event.python
    run.origin = event.origin
    run.affinity = event.affinity
    run.created_us = event.at_us


def _step_completed(run: Run, event: ev.StepCompleted) -> None:
    run.steps_completed += 1
    if run.retries or run.heartbeats:
        _step_ended(run, key_of(event))


def _step_failed(run: Run, event: ev.StepFailed) -> None:
    _step_ended(run, key_of(event))


def _step_ended(run: Run, key: Key) -> None:
    run.retries.pop(key, None)
    run.heartbeats.pop(key, None)


def _step_retrying(run: Run, event: ev.StepRetrying) -> None:
    run.retries[key_of(event)] = Retry(event.attempt + 1, event.next_us)


def _step_heartbeat(run: Run, event: ev.StepHeartbeat) -> None:
    run.heartbeats[key_of(event)] = event.details


def _timer_started(run: Run, event: ev.TimerStarted) -> None:
    run.timers[key_of(event)] = event.due_us


def _timer_fired(run: Run, event: ev.TimerFired) -> None:
    if run.timers.pop(key_of(event), None) is None:
        raise InvariantError(f"{key_of(event)} fired but was not set")


def _child_started(run: Run, event: ev.ChildStarted) -> None:
    run.children[key_of(event)] = event.child


def _child_ended(run: Run, event: ev.ChildCompleted | ev.ChildFailed) -> None:
    if run.children.pop(key_of(event), None) is None:
        raise InvariantError(f"{key_of(event)} ended but was not started")


def _cancel_requested(run: Run, event: ev.CancelRequested) -> None:
    run.cancel_reason = event.reason
    # A workflow that is to clean up needs its steps.
    run.is_paused = False
    _message(run, event.number)


def _signal_received(run: Run, event: ev.SignalReceived) -> None:
    _message(run, event.number)


def _paused(run: Run, event: ev.RunPaused) -> None:
    run.is_paused = run.cancel_reason is None
    _message(run, event.number)


def _resumed(run: Run, event: ev.RunResumed) -> None:
    run.is_paused = False
    _message(run, event.number)


def _message(run: Run, number: int) -> None:
    run.last_message = max(run.last_message, number)


def _abandoned(run: Run, event: ev.WaitAbandoned) -> None:
    key = Key(Kind(event.kind), event.path, event.name, event.occurrence)
    for waits in (run.timers, run.children, run.retries, run.heartbeats):
        waits.pop(key, None)


def _completed(run: Run, event: ev.RunCompleted) -> None:
    run.result = event.result


def _failed(run: Run, event: ev.RunFailed) -> None:
    run.error = event.error


def _cancelled(run: Run, event: ev.RunCancelled) -> None:
    run.cancel_reason = event.reason


_EFFECTS: dict[type[ev.Event], Callable[[Run, Any], None]] = {
    ev.RunCreated: _created,
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_failed,
    ev.StepRetrying: _step_retrying,
    ev.TimerStarted: _timer_started,
    ev.TimerFired: _timer_fired,
    ev.ChildStarted: _child_started,
    ev.ChildCompleted: _child_ended,
    ev.ChildFailed: _child_ended,
    ev.CancelRequested: _cancel_requested,
    ev.RunCompleted: _completed,
    ev.RunFailed: _failed,
    ev.RunCancelled: _cancelled,
    ev.WaitAbandoned: _abandoned,
    ev.SignalReceived: _signal_received,
    ev.RunPaused: _paused,
    ev.RunResumed: _resumed,
    ev.StepHeartbeat: _step_heartbeat,
}
