"""The replay cursor: holds what the code asks for against what the history says.

The same object serves the first execution and every replay. Code *issues* waits; events are *matched* with them, in
recorded order, when the run has settled. A completion that no wait is there for, or whose input differs, is a
mismatch: the code is not the one that wrote this history. A wait the code gave up (its task was cancelled) is
*abandoned*: its late completion is passed over, live and on replay alike."""

from __future__ import annotations

from typing import assert_never

from aeterna.durable.core import events as ev
from aeterna.durable.core.identity import Key, Kind

ReplayEvent = (
    ev.StepCompleted
    | ev.StepFailed
    | ev.StepRetrying
    | ev.StepHeartbeat
    | ev.TimerStarted
    | ev.TimerFired
    | ev.ChildStarted
    | ev.ChildCompleted
    | ev.ChildFailed
)
"""Events that belong to a wait."""

_KINDS: dict[type[ev.Event], Kind] = {
    ev.StepCompleted: Kind.STEP,
    ev.StepFailed: Kind.STEP,
    ev.StepRetrying: Kind.STEP,
    ev.StepHeartbeat: Kind.STEP,
    ev.TimerStarted: Kind.TIMER,
    ev.TimerFired: Kind.TIMER,
    ev.ChildStarted: Kind.CHILD,
    ev.ChildCompleted: Kind.CHILD,
    ev.ChildFailed: Kind.CHILD,
}


class Mismatch(Exception):  # noqa: N818 - turned into NonDeterminismError by whoever knows the run
    """``recorded``: what the history says; ``attempted``: what the code waits for."""

    def __init__(self, recorded: str, attempted: str) -> None:
        super().__init__(f"recorded {recorded}, attempted {attempted}")
        self.recorded = recorded
        self.attempted = attempted


def key_of(event: ReplayEvent) -> Key:
    """The wait an event belongs to."""
    return Key(_KINDS[type(event)], event.path, event.name, event.occurrence)


class Cursor:
    """The waits of one run: issued, pending, abandoned."""

    __slots__ = ("_abandoned", "_issued", "pending")

    def __init__(self) -> None:
        self.pending: dict[Key, bytes] = {}
        self._issued: dict[tuple[Kind, str, str], int] = {}
        self._abandoned: set[Key] = set()

    def issue(self, kind: Kind, path: str, name: str, fingerprint: bytes = b"") -> Key:
        """A new wait, with the next occurrence of its name in its task."""
        place = (kind, path, name)
        occurrence = self._issued.get(place, 0) + 1
        self._issued[place] = occurrence
        key = Key(kind, path, name, occurrence)
        self.pending[key] = fingerprint
        return key

    def abandon(self, key: Key) -> bool:
        """The code no longer waits; False if the wait was over anyway."""
        if self.pending.pop(key, None) is None:
            return False
        if key.kind is not Kind.SIGNAL:
            # No event names the wait for a signal: a signal goes to whoever waits for one of its name.
            self._abandoned.add(key)
        return True

    def receive(self, key: Key) -> None:
        """The wait for a signal is over."""
        del self.pending[key]

    def complete(self, event: ReplayEvent) -> Key | None:
        """The wait this completion ends, or None if it was abandoned; raises `Mismatch`."""
        key = self.check(event)
        if key is None:
            # A retry or a start may come before the completion, so only the completion forgets an abandoned wait.
            self._abandoned.discard(key_of(event))
        else:
            del self.pending[key]
        return key

    def check(self, event: ReplayEvent) -> Key | None:
        """The wait an event belongs to, or None if it was abandoned; raises `Mismatch`."""
        key = key_of(event)
        fingerprint = self.pending.get(key)
        if fingerprint is None:
            if key in self._abandoned:
                return None
            raise Mismatch(describe(event), self.describe_pending(key.path))
        recorded = fingerprint_of(event)
        if recorded is not None and recorded != fingerprint:
            raise Mismatch(
                f"{key} with input fingerprint {recorded.hex()}", f"{key} with input fingerprint {fingerprint.hex()}"
            )
        return key

    def describe_pending(self, path: str) -> str:
        """What the code waits for, the waits of ``path`` first, for messages."""
        if not self.pending:
            return "nothing: the code waits for no step, timer, child or signal here"
        ranked = sorted(self.pending, key=lambda key: (key.path != path, key))
        shown = [str(key) for key in ranked[:3]]
        more = len(self.pending) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")


def fingerprint_of(event: ReplayEvent) -> bytes | None:
    """The recorded input fingerprint, None for events that carry none."""
    match event:
        case ev.StepCompleted() | ev.StepFailed() | ev.StepRetrying() | ev.StepHeartbeat() | ev.ChildStarted():
            return event.fingerprint
        case ev.TimerStarted() | ev.TimerFired() | ev.ChildCompleted() | ev.ChildFailed():
            return None
        case _:
            assert_never(event)


_VERBS: dict[type[ev.Event], str] = {
    ev.StepCompleted: "completed",
    ev.StepFailed: "failed",
    ev.StepRetrying: "to be retried",
    ev.StepHeartbeat: "under way",
    ev.TimerStarted: "started",
    ev.TimerFired: "fired",
    ev.ChildStarted: "started",
    ev.ChildCompleted: "completed",
    ev.ChildFailed: "failed",
}


def describe(event: ReplayEvent) -> str:
    """An event as the messages name it."""
    return f"{key_of(event)} {_VERBS[type(event)]}"
