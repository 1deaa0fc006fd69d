"""When to try again: pure arithmetic over a policy, an attempt and an error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a failing step is tried again; the names are Temporal's.

    maximum_attempts: attempts in all, the first included; 0 means without end. initial_interval: wait before the
    second attempt, in seconds or as a timedelta. backoff_coefficient: each further wait is this much longer.
    maximum_interval: no wait is longer. non_retryable: exception types, or their names, that end it at once; a type
    covers its subclasses, a name does not."""

    maximum_attempts: int = 3
    initial_interval: float | timedelta = 1.0
    backoff_coefficient: float = 2.0
    maximum_interval: float | timedelta = 60.0
    non_retryable: tuple[type[BaseException] | str, ...] = ()

    def __post_init__(self) -> None:
        kinds: Any = self.non_retryable
        if isinstance(kinds, str | type) or not all(isinstance(kind, str | type) for kind in kinds):
            raise ValueError(f"non_retryable is {kinds!r}; give a tuple of exception types or names: (ValueError,)")
        if self.maximum_attempts < 0:
            raise ValueError(f"maximum_attempts is {self.maximum_attempts}; use 0 (without end) or more")
        if self.initial_interval_us < 0 or self.maximum_interval_us < 0:
            raise ValueError("a retry interval is negative")
        if not self.backoff_coefficient >= 1:
            raise ValueError(f"backoff_coefficient is {self.backoff_coefficient}; use 1.0 (constant) or more")

    @property
    def initial_interval_us(self) -> int:
        """``initial_interval`` in microseconds."""
        return _us(self.initial_interval)

    @property
    def maximum_interval_us(self) -> int:
        """``maximum_interval`` in microseconds."""
        return _us(self.maximum_interval)

    def interval_us(self, attempt: int) -> int:
        """The wait after the failed attempt number ``attempt`` (from 1)."""
        try:
            wait = self.initial_interval_us * math.pow(self.backoff_coefficient, attempt - 1)
        except OverflowError:
            return self.maximum_interval_us
        return int(min(wait, self.maximum_interval_us))

    def wait_us(self, attempt: int, error: BaseException) -> int | None:
        """How long to wait after attempt number ``attempt`` failed with ``error``; None = give up."""
        if self.maximum_attempts and attempt >= self.maximum_attempts:
            return None
        if any(_covers(kind, error) for kind in self.non_retryable):
            return None
        return self.interval_us(attempt)


def _covers(kind: type[BaseException] | str, error: BaseException) -> bool:
    if isinstance(kind, str):
        return kind in (type(error).__name__, f"{type(error).__module__}.{type(error).__qualname__}")
    return isinstance(error, kind)


def _us(interval: float | timedelta) -> int:
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else interval
    return round(seconds * US_PER_S)


NO_RETRY = RetryPolicy(maximum_attempts=1)
"""Steps without a policy are attempted once."""
