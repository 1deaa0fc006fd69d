"""Wall-clock alarms, many of them on one timer of the loop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from aeterna.kernel.clock import Clock

SLEEP_LONGEST_S = 60.0
"""The wall clock may be set while we sleep, so no sleep is longer than this before it is looked at again."""


class Alarm:
    """One alarm; `cancel` makes it harmless."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not ring."""
        self.callback = None


class Timers:
    """Calls back when the clock reaches a time, never before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Alarm]] = []
        self._numbers = itertools.count()
        self._handle: asyncio.TimerHandle | None = None
        self._handle_due_us = 0

    def at(self, due_us: int, callback: Callable[[], None]) -> Alarm:
        """Call ``callback`` from the loop once the wall clock shows ``due_us`` or more."""
        alarm = Alarm(callback)
        heapq.heappush(self._heap, (due_us, next(self._numbers), alarm))
        if self._handle is None or due_us < self._handle_due_us:
            self._arm()
        return alarm

    def stop(self) -> None:
        """Forget all alarms."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        if self._heap:
            self._handle_due_us = self._heap[0][0]
            delay_s = max(self._handle_due_us - self._clock.now_us(), 0) / 1e6
            self._handle = asyncio.get_running_loop().call_later(min(delay_s, SLEEP_LONGEST_S), self._ring)

    def _ring(self) -> None:
        self._handle = None
        now_us = self._clock.now_us()
        while self._heap and self._heap[0][0] <= now_us:
            _, _, alarm = heapq.heappop(self._heap)
            callback, alarm.callback = alarm.callback, None
            if callback is not None:
                callback()
        self._arm()
