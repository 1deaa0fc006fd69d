"""Rate limits by the generic cell rate algorithm: one number per limit, no window, no history.

The number is the *theoretical arrival time* (``tat_us``): when the next start would be due if starts came evenly
spaced. A start may come up to ``burst - 1`` spacings before it is due. All arithmetic is whole microseconds, so that
SQL computes the same; the spacing is rounded up, so a limit is never exceeded.
"""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """``starts`` per ``period_us``, up to ``burst`` of them at once."""

    starts: int
    period_us: int
    burst: int = 1

    @property
    def spacing_us(self) -> int:
        """The time between two starts that come evenly."""
        return max(-(-self.period_us // self.starts), 1)


def starts_left(rate: Rate, tat_us: int, now_us: int) -> int:
    """How many starts the limit allows right now; ``tat_us`` is 0 for a limit that was never used."""
    spacings_ahead = -(-max(tat_us - now_us, 0) // rate.spacing_us)
    return max(rate.burst - spacings_ahead, 0)


def tat_after(rate: Rate, tat_us: int, now_us: int, starts: int) -> int:
    """The limit's number after so many starts."""
    return max(tat_us, now_us) + starts * rate.spacing_us if starts else tat_us


def next_start_us(rate: Rate, tat_us: int, now_us: int) -> int:
    """The earliest time, not before now, at which the limit allows one start."""
    return max(now_us, tat_us - (rate.burst - 1) * rate.spacing_us)
