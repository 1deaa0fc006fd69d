"""How long this process may act for its session, by its own monotonic clock.

The store counts a session as alive until its lease is over. A process that was stopped or cut off meanwhile cannot know
what the store decided, but it can know that the time is over: it begins nothing then, until a renewal says that the
session lives.

It stops a little earlier than the store does. Nothing can look at a clock and act in the same instant: a process may be
stopped in between, and finds out afterwards only. As long as that takes less than the margin, nobody else can have gone
on meanwhile."""

from __future__ import annotations

from aeterna.kernel.clock import Clock

MARGIN_DIVISOR = 10
"""This part of a lease is not used."""


class Lease:
    """The lease of one session, ``duration_us`` long from each renewal."""

    __slots__ = ("_clock", "_until_us", "duration_us")

    def __init__(self, clock: Clock, duration_us: int) -> None:
        self.duration_us = duration_us
        self._clock = clock
        self._until_us = 0

    def holds(self) -> bool:
        """It is not over yet."""
        return self._clock.monotonic_us() < self._until_us

    def renewed(self, asked_us: int) -> None:
        """The store has granted it anew, at some moment after ``asked_us`` of the monotonic clock."""
        margin_us = self.duration_us // MARGIN_DIVISOR
        self._until_us = max(self._until_us, asked_us + self.duration_us - margin_us)

    def end(self) -> None:
        """The session is over."""
        self._until_us = 0
