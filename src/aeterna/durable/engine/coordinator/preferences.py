"""Which of the workers that could take a run should have it.

Runs of one affinity go to one worker: to the one whose number, hashed together with the affinity, is the highest among
those that have room. So nothing has to be kept, and when a worker goes or is full, only its runs go elsewhere. A run
without affinity that waited outside of memory goes back to the worker that had it, which may still have what it needs
at hand; for a while, and if that worker has room. Both are preferences: nothing ever waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from aeterna.durable.core.events import AnyEvent, RunCreated
from aeterna.durable.engine.coordinator.attached import Attached
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.stores.contract import RunRow
from aeterna.kernel.clock import Clock

STICKY_US = 60_000_000
"""So long after a run has left its worker, it prefers to come back to it."""
REMEMBERED_MAX = 10_000
STICKY_BATCH = 16
"""Of more runs that are handed out together none goes back: each would cost a write of its own."""


def highest(affinity: str, numbers: Iterable[int]) -> int | None:
    """The number that runs of this affinity belong to; None if there is none to choose from."""
    return max(numbers, key=lambda number: (_weight(affinity, number), number), default=None)


def _weight(affinity: str, number: int) -> bytes:
    return blake2b(affinity.encode(), digest_size=8, key=number.to_bytes(8, "big")).digest()


def affinity_of(events: Sequence[AnyEvent] | None) -> str:
    """What the beginning of a history says; '' = it goes anywhere."""
    first = events[0] if events else None
    return first.affinity if isinstance(first, RunCreated) else ""


class Preferences:
    """Those of the runs of one namespace, for the sessions that this process serves."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock
        self._left: dict[int, tuple[int, int]] = {}

    def left(self, key: int, session: int) -> None:
        """The run has left the memory of that session's worker, to wait."""
        self._left.pop(key, None)
        self._left[key] = (session, self._clock.monotonic_us() + STICKY_US)
        if len(self._left) > REMEMBERED_MAX:
            del self._left[next(iter(self._left))]

    def bound(self, affinity: str, candidates: Iterable[Attached]) -> Attached | None:
        """The one among them that runs of this affinity go to."""
        number = highest(affinity, [one.number for one in candidates])
        return None if number is None else self._sessions.find(number)

    def better(
        self, claimer: Attached, row: RunRow, history: Sequence[AnyEvent] | None, together: int
    ) -> Attached | None:
        """Who should have the run that ``claimer`` has just claimed with ``together`` others; None = nobody else.

        One that a worker died with stays where it is: taking it from there would forget that."""
        until = self._left.pop(row.key, None)
        if row.crashes:
            return None
        affinity = affinity_of(history)
        if affinity:
            fitting = [one for one in self._sessions if one is claimer or (one.room > 0 and one.can_take(row))]
            wanted = self.bound(affinity, fitting)
        elif until is None or together > STICKY_BATCH or self._clock.monotonic_us() > until[1]:
            return None
        else:
            wanted = self._sessions.find(until[0])
        if wanted is None or wanted is claimer or wanted.room <= 0 or not wanted.can_take(row):
            return None
        return wanted
