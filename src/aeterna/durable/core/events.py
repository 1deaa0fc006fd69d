"""The records of a run's history: a closed union, append-only, readable for ever.

A history is the only truth about a run; its state is the fold of it (see ``fold``). Field order and type tags are the
storage format: fields are only ever added at the end and with a default, a tag is never reused, and a change that
cannot be made that way raises ``HISTORY_VERSION`` and adds an up-caster (see ``segment``).

Times are microseconds since 1970 (UTC). ``path``, ``name`` and ``occurrence`` are the identity of a step, timer or
child inside its run: the place of its task in the tree of tasks the workflow created, its name, and the how-manieth
of that name in that task, from 1."""

from __future__ import annotations

from typing import NewType

import msgspec

HISTORY_VERSION = 1

Payload = NewType("Payload", bytes)
"""An encoded value: one tag byte that names the encoding, then the data (see ``codec``)."""


class ErrorRecord(msgspec.Struct, frozen=True, array_like=True):
    """An exception as recorded: ``type`` is ``module:qualname``; ``arguments`` its encoded ``args`` when the
    exception can be rebuilt from them alike, else None."""

    type: str
    message: str
    traceback: str = ""
    arguments: Payload | None = None


class Event(msgspec.Struct, frozen=True, array_like=True):
    """What all events carry: when it happened."""

    at_us: int


class KeyedEvent(Event, frozen=True, array_like=True):
    """An event about one step, timer or child of the run."""

    path: str
    name: str
    occurrence: int


class RunCreated(Event, frozen=True, array_like=True, tag=1):
    """The run exists; its workflow, version and arguments never change afterwards.

    ``origin``: the id of the run that this one was forked from first of all: what the workflow draws (UUIDs, random
    numbers) follows from that id, as what it drew is part of the history they share; '' = it is no fork. ``affinity``:
    runs that have the same one are executed by the same worker, where that is possible; '' = by any."""

    workflow: str
    version: str
    arguments: Payload
    parent: str | None = None
    python: str = ""
    origin: str = ""
    affinity: str = ""


class RunStarted(Event, frozen=True, array_like=True, tag=2):
    """A session took the run and executes it; again after each recovery."""

    session: int


class StepCompleted(KeyedEvent, frozen=True, array_like=True, tag=3):
    """A step returned. ``attempt`` is the one that succeeded; ``duration_us`` is that attempt's."""

    fingerprint: bytes
    result: Payload
    attempt: int = 1
    duration_us: int = 0


class StepFailed(KeyedEvent, frozen=True, array_like=True, tag=4):
    """A step raised and will not be tried again."""

    fingerprint: bytes
    error: ErrorRecord
    attempt: int = 1
    duration_us: int = 0


class StepRetrying(KeyedEvent, frozen=True, array_like=True, tag=5):
    """An attempt failed; the next one starts at ``next_us``."""

    fingerprint: bytes
    error: ErrorRecord
    attempt: int
    next_us: int
    duration_us: int = 0


class TimerStarted(KeyedEvent, frozen=True, array_like=True, tag=6):
    """A durable timer was set."""

    due_us: int


class TimerFired(KeyedEvent, frozen=True, array_like=True, tag=7):
    """A durable timer came due."""


class ChildStarted(KeyedEvent, frozen=True, array_like=True, tag=8):
    """A child run was asked for, under an id that follows from this run's id and the child's identity."""

    fingerprint: bytes
    child: str


class ChildCompleted(KeyedEvent, frozen=True, array_like=True, tag=9):
    """The child run completed with a result."""

    result: Payload


class ChildFailed(KeyedEvent, frozen=True, array_like=True, tag=10):
    """The child run failed or was cancelled."""

    error: ErrorRecord


class CancelRequested(Event, frozen=True, array_like=True, tag=11):
    """Somebody asked to cancel; the workflow sees ``asyncio.CancelledError`` and may clean up.

    ``number``: that of the message that asked for it, here and below; 0 = there was none."""

    reason: str = ""
    number: int = 0


class RunCompleted(Event, frozen=True, array_like=True, tag=12):
    """The workflow returned."""

    result: Payload


class RunFailed(Event, frozen=True, array_like=True, tag=13):
    """The workflow raised."""

    error: ErrorRecord


class RunCancelled(Event, frozen=True, array_like=True, tag=14):
    """The workflow ended by a requested cancellation."""

    reason: str = ""


class WaitAbandoned(KeyedEvent, frozen=True, array_like=True, tag=15):
    """The workflow gave up a timer, child or retried step it had begun to wait for; ``kind`` is `identity.Kind`'s
    value."""

    kind: str


class SignalReceived(Event, frozen=True, array_like=True, tag=16):
    """A signal left the run's inbox. The workflow gets it where it waits for one of this name, in this order."""

    number: int
    id: str
    name: str
    payload: Payload


class RunPaused(Event, frozen=True, array_like=True, tag=17):
    """Somebody asked to pause: what is under way ends and is recorded, nothing new begins."""

    reason: str = ""
    number: int = 0


class RunResumed(Event, frozen=True, array_like=True, tag=18):
    """Somebody asked to go on."""

    number: int = 0


class StepHeartbeat(KeyedEvent, frozen=True, array_like=True, tag=19):
    """An attempt of an activity told how far it is; the next attempt is given the latest ``details``."""

    fingerprint: bytes
    attempt: int
    details: Payload


AnyEvent = (
    RunCreated
    | RunStarted
    | StepCompleted
    | StepFailed
    | StepRetrying
    | TimerStarted
    | TimerFired
    | ChildStarted
    | ChildCompleted
    | ChildFailed
    | CancelRequested
    | RunCompleted
    | RunFailed
    | RunCancelled
    | WaitAbandoned
    | SignalReceived
    | RunPaused
    | RunResumed
    | StepHeartbeat
)
"""The closed union of everything a history may hold."""
