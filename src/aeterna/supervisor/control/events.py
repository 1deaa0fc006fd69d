"""What happened lately, numbered: a bounded ring that anyone may follow, from now or from a number on.

Knows nothing of what the events mean. Publishing never waits: a follower that is slower than the ring misses the oldest
ones and is told how many. Numbers only grow; started from the wall clock in microseconds, they do so across restarts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from aeterna.kernel.clock import Clock

EVENTS_MAX = 2_048
"""How many are kept."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: ``kind`` is dotted, like ``service.state``, ``reload.phase`` or ``reload.finished``."""

    id: int
    at_us: int
    kind: str
    data: Mapping[str, Any]


class EventRing:
    """The last events. Belongs to one event loop; `publish` may only be called on its thread."""

    def __init__(self, clock: Clock, capacity: int = EVENTS_MAX) -> None:
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=capacity)
        self._last_id = clock.now_us()
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def last_id(self) -> int:
        """The number of the newest event; before the first one, a number that is smaller than its."""
        return self._last_id

    def publish(self, kind: str, data: Mapping[str, Any]) -> Event:
        """Add an event. What it tells must be readable already (see `contract`)."""
        self._last_id += 1
        event = Event(self._last_id, self._clock.now_us(), kind, data)
        self._events.append(event)
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return event

    def after(self, event_id: int) -> list[Event]:
        """The kept events with higher numbers, oldest first."""
        if event_id >= self._last_id:
            return []
        return [event for event in self._events if event.id > event_id]

    def has_lost_after(self, event_id: int) -> bool:
        """Whether events after that number are no longer kept."""
        first = self._events[0].id if self._events else self._last_id + 1
        return event_id < first - 1

    async def wait_after(self, event_id: int) -> None:
        """Return once there is an event with a higher number."""
        while self._last_id <= event_id:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def follow(self, event_id: int) -> AsyncIterator[Event]:
        """Every event after that number, for ever. One that is no longer kept is left out."""
        last = min(event_id, self._last_id)
        while True:
            await self.wait_after(last)
            for event in self.after(last):
                last = event.id
                yield event
