"""The times of cron expressions in a time zone.

What a change of the clocks does, as in Debian's cron:

* An expression whose minute and hour both name times (``30 2 * * *``) fires once a day: a time that the clocks skip
  fires at the moment of the change, and one that comes twice fires the first time only.
* Any other (``*/15 * * * *``, ``0 * * * *`` with a star in the hour, or six fields with seconds) fires whenever the
  clock on the wall shows a time that matches: not at a skipped one, and twice at one that comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from aeterna.durable.core.schedule import ScheduleSpec, Timeline, check
from aeterna.kernel.errors import ConfigurationError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def timeline(schedule: str, spec: ScheduleSpec) -> Timeline:
    """The firings of a schedule; raises `ConfigurationError` for a spec that means nothing."""
    check(schedule, spec)
    return Timeline(schedule, spec, CronCalendar(schedule, spec.cron, spec.time_zone))


class CronCalendar:
    """The times of all of some cron expressions; raises `ConfigurationError` for one that cannot be read, and for an
    unknown time zone."""

    def __init__(self, schedule: str, expressions: Sequence[str], time_zone: str) -> None:
        self._zone = _zone(schedule, time_zone)
        self._expressions = [NICKNAMES.get(expression.strip().lower(), expression) for expression in expressions]
        for given, expression in zip(expressions, self._expressions, strict=True):
            try:
                CronSim(expression, _EPOCH)
            except CronSimError as error:
                raise ConfigurationError(
                    f"schedule {schedule!r} cannot be: cron {given!r} cannot be read ({error}): give minute, hour, day "
                    "of the month, month and day of the week, such as '30 2 * * 1-5', or a name such as '@daily'"
                ) from None

    def next_us(self, after_us: int) -> int | None:
        """See `Calendar.next_us`."""
        times = [_next_us(expression, self._zone, after_us) for expression in self._expressions]
        return min((time for time in times if time is not None), default=None)


def _next_us(expression: str, zone: tzinfo, after_us: int) -> int | None:
    after = _EPOCH + after_us * _US
    minute, hour, *others = expression.split()
    has_fixed_times = len(others) == 3 and minute[0] != "*" and hour[0] != "*"
    found = _at_fixed_times(expression, zone, after) if has_fixed_times else _by_the_wall(expression, zone, after)
    return None if found is None else (found - _EPOCH) // _US


def _at_fixed_times(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    for found in CronSim(expression, after.astimezone(zone)):
        # In the second pass of an hour that comes twice, the wall's time leads to the first pass, which is over.
        if found.astimezone(UTC) > after:
            return found.astimezone(UTC)
    return None


def _by_the_wall(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """Between two changes of the clocks the wall shows UTC plus an offset, so the expression is read as if there were
    no time zones. (Given one, CronSim passes over times where clocks change by half an hour.)"""
    offset = _offset(zone, after)
    wall = after + offset
    while True:
        next_wall = next(CronSim(expression, wall), None)
        if next_wall is None:
            return None
        change = _first_change(zone, after, next_wall - offset)
        if change is None:
            return next_wall - offset
        after, offset = change, _offset(zone, change)
        wall = change + offset - _SECOND


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _first_change(zone: tzinfo, start: datetime, end: datetime) -> datetime | None:
    """The first whole second in (start, end] at which the clocks of the zone change; they do at most once a day."""
    low = start.replace(microsecond=0)
    offset = _offset(zone, low)
    while low < end:
        high = min(low + _DAY, end)
        if _offset(zone, high) != offset:
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            return high
        low = high
    return None


@lru_cache(maxsize=64)
def _known_zone(name: str) -> tzinfo | None:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # A name that is not there is a KeyError, one such as "../x" a ValueError, that of a directory an OSError.
        return None


def _zone(schedule: str, name: str) -> tzinfo:
    zone = _known_zone(name)
    if zone is None:
        raise ConfigurationError(
            f"schedule {schedule!r} cannot be: there is no time zone {name!r} on this machine; use a name such as "
            "'Europe/Berlin', or install the package tzdata"
        )
    return zone
