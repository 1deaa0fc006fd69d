"""A clock that stands still until somebody moves it."""

from __future__ import annotations

START_US = 1_767_225_600_000_000
"""2026-01-01 00:00:00 UTC, so that dates in tests look like dates."""


class FakeClock:
    """A `Clock` whose time is a number: microseconds since 1970 for `now_us`, since its making for `monotonic_us`."""

    def __init__(self, start_us: int = START_US) -> None:
        self._offset_us = start_us
        self._elapsed_us = 0

    def now_us(self) -> int:
        """See `Clock.now_us`."""
        return self._offset_us + self._elapsed_us

    def monotonic_us(self) -> int:
        """See `Clock.monotonic_us`."""
        return self._elapsed_us

    def advance(self, duration_us: int) -> None:
        """Let time pass, on both clocks; raises `ValueError` for a negative duration."""
        if duration_us < 0:
            raise ValueError(f"time does not go back: {duration_us} us; set_wall moves the wall clock alone")
        self._elapsed_us += duration_us

    def set_wall(self, now_us: int) -> None:
        """Set the wall clock, forwards or backwards, as an administrator would; monotonic time does not notice."""
        self._offset_us = now_us - self._elapsed_us
