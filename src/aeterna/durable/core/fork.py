"""A run that begins with a part of another one's history: pure arithmetic over events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import msgspec

from aeterna.durable.core import events as ev
from aeterna.durable.core.cursor import key_of
from aeterna.durable.core.identity import Key, Kind

_OF_STEPS = ev.StepCompleted | ev.StepFailed | ev.StepRetrying | ev.StepHeartbeat
_NO_WORK = ev.RunCreated | ev.RunStarted


def fork_history(history: Sequence[ev.AnyEvent], length: int, run_id: str, at_us: int) -> list[ev.AnyEvent]:
    """The events that a fork of run ``run_id``, made at ``at_us``, begins with: the first ``length`` of ``history``, 1
    at least, and none from a request to cancel on, because what the code did then it did on that request.

    Left out is what concerned that run alone: who took it over, pauses, its end, and children that had not ended,
    because the fork starts its own. Signals stay, as part of what the code has seen; their numbers go, because the
    inbox of the fork counts anew. All times stay but that of the creation, because the code has seen them too."""
    kept = list(takewhile(_is_shared, history[: max(length, 1)]))
    ended = {_child(event) for event in kept if isinstance(event, ev.ChildCompleted | ev.ChildFailed)}
    has_started = False
    fork: list[ev.AnyEvent] = []
    for event in kept:
        match event:
            case ev.RunCreated():
                fork.append(msgspec.structs.replace(event, at_us=at_us, parent=None, origin=event.origin or run_id))
            case ev.RunStarted() if has_started:
                pass
            case ev.RunStarted():
                has_started = True
                fork.append(event)
            case ev.ChildStarted() if _child(event) not in ended:
                pass
            case ev.WaitAbandoned() if event.kind == Kind.CHILD:
                pass
            case ev.RunPaused() | ev.RunResumed():
                pass
            case ev.SignalReceived():
                fork.append(msgspec.structs.replace(event, number=0))
            case _:
                fork.append(event)
    return fork


def step_positions(history: Sequence[ev.AnyEvent], step: str) -> list[int]:
    """Where a fork is to begin that executes a step of this name again, for each step of the name in the order in
    which the history tells of them first. Nothing but the start of the code goes with the creation alone, so that a
    fork from the very first step waits for its turn as a new run does."""
    first: dict[Key, int] = {}
    for number, event in enumerate(history):
        if isinstance(event, _OF_STEPS) and event.name == step:
            first.setdefault(key_of(event), number)
    return [
        1 if all(isinstance(event, _NO_WORK) for event in history[:number]) else number for number in first.values()
    ]


def step_names(history: Sequence[ev.AnyEvent]) -> list[str]:
    """The names of the steps that a history tells of, in its order."""
    return list(dict.fromkeys(event.name for event in history if isinstance(event, _OF_STEPS)))


def _is_shared(event: ev.AnyEvent) -> bool:
    return not isinstance(event, ev.CancelRequested | ev.RunCompleted | ev.RunFailed | ev.RunCancelled)


def _child(event: ev.ChildStarted | ev.ChildCompleted | ev.ChildFailed) -> Key:
    return Key(Kind.CHILD, event.path, event.name, event.occurrence)
