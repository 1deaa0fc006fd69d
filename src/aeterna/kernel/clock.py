"""Time, handed in. Nothing else in the package asks the operating system what time it is."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of wall-clock and monotonic time."""

    def now_us(self) -> int:
        """Wall-clock time in microseconds since 1970-01-01 UTC; may jump."""
        ...

    def monotonic_us(self) -> int:
        """Time in microseconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000


async def sleep(seconds: float) -> None:
    """Pause the calling task by the time of its event loop, which a simulation may own."""
    # Imported here: the command line reads the clock, and has no time to load asyncio.
    import asyncio

    await asyncio.sleep(seconds)
