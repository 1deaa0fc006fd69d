"""What cron expressions mean, minute by minute: slow, and simple enough to be seen right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

MINUTE = timedelta(minutes=1)


def times(expression: str, zone: tzinfo, start: datetime, end: datetime) -> list[datetime]:
    """All times after ``start`` and up to ``end``, both UTC and whole minutes, at which it fires."""
    minute, hour, *_ = expression.split()
    fires = _at_fixed_times if minute[0] != "*" and hour[0] != "*" else _by_the_wall
    return sorted({time for time in fires(expression, zone, start, end) if start < time <= end})


def _by_the_wall(expression: str, zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    for time in _minutes(start, end):
        if _matches(expression, time.astimezone(zone)):
            yield time


def _at_fixed_times(expression: str, zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Each time on the wall once: its first instant, or that of the change that skipped it."""
    shown = {time.astimezone(zone).replace(tzinfo=None): time for time in reversed(list(_minutes(start, end)))}
    for wall in _minutes(min(shown), max(shown)):
        if _matches(expression, wall):
            yield next(shown[later] for later in _minutes(wall, max(shown)) if later in shown)


def _minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    for count in range(1 + (end - start) // MINUTE):
        yield start + count * MINUTE


def _matches(expression: str, wall: datetime) -> bool:
    fields = expression.split()
    values = (wall.minute, wall.hour, wall.day, wall.month, wall.isoweekday() % 7)
    starts = (0, 0, 1, 1, 0)
    found = [_field(*parts) for parts in zip(fields, values, starts, strict=True)]
    is_day = found[2] and found[4] if "*" in (fields[2][0], fields[4][0]) else found[2] or found[4]
    return found[0] and found[1] and is_day and found[3]


def _field(text: str, value: int, start: int) -> bool:
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = start if first == "*" else int(first)
        high = 99 if first == "*" else int(last or first)
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def utc(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
