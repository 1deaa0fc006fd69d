"""Cron expressions in time zones: the rules of the docstring, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeterna.durable.core.events import Payload
from aeterna.durable.core.schedule import ScheduleSpec
from aeterna.durable.engine.calendars import CronCalendar, timeline
from aeterna.kernel.errors import ConfigurationError
from tests.flow.cron_oracle import times, utc

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)

CHANGES = [
    ("Europe/Berlin", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-10-25 01:00"),
    ("America/New_York", "2026-03-08 07:00"),
    ("America/New_York", "2026-11-01 06:00"),
    ("Australia/Lord_Howe", "2026-04-04 15:00"),
    ("Australia/Lord_Howe", "2026-10-03 15:30"),
    ("America/Havana", "2026-03-08 05:00"),
    ("America/Havana", "2026-11-01 05:00"),
    ("Asia/Kathmandu", "2026-06-01 00:00"),
]
"""Zones, and when their clocks change; half an hour in one, at midnight in another, never in the last."""

EXPRESSIONS = [
    "30 2 * * *",
    "0 0 * * *",
    "15 0 * * *",
    "0 1 * * *",
    "10,50 1,2,3 * * *",
    "*/15 * * * *",
    "0 * * * *",
    "7 */2 * * *",
    "*/20 2 * * *",
    "* 0-3 * * *",
    "30 2 8 * *",
    "30 2 1 * 0",
    "0 12 * 3,10 1-5",
]


def found(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    calendar = CronCalendar("s", [expression], zone)
    after_us, answer = (start - EPOCH) // US, []
    while (next_us := calendar.next_us(after_us)) is not None and EPOCH + next_us * US <= end:
        assert next_us > after_us
        answer.append(EPOCH + next_us * US)
        after_us = next_us
    return answer


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_mean_what_the_wall_shows_around_a_change_of_the_clocks(expression: str, zone: str, change: str):
    start, end = utc(change) - timedelta(days=2), utc(change) + timedelta(days=2)
    margin = timedelta(days=1)
    expected = [time for time in times(expression, ZoneInfo(zone), start - margin, end + margin) if start < time <= end]
    assert found(expression, zone, start, end) == expected


@settings(max_examples=200)
@given(st.sampled_from(CHANGES), st.sampled_from(EXPRESSIONS), st.integers(-36 * 3600, 36 * 3600))
def test_from_any_moment_the_next_time_is_the_same(change: tuple[str, str], expression: str, seconds: int):
    """Whoever begins in the middle, between two passes of the same hour, goes on as one who was there before."""
    zone, at = change
    after = utc(at) + timedelta(seconds=seconds)
    before = utc(at) - timedelta(days=3)
    calendar = CronCalendar("s", [expression], zone)
    next_us = calendar.next_us((after - EPOCH) // US)
    horizon = after + timedelta(days=2)
    expected = next((time for time in found(expression, zone, before, horizon) if time > after), None)
    if expected is not None:
        assert next_us == (expected - EPOCH) // US


def test_a_daily_time_that_is_skipped_fires_at_the_change():
    """At 01:00 UTC on that day Berlin's clocks go from 02:00 to 03:00."""
    start = utc("2026-03-28 12:00")
    assert found("30 2 * * *", "Europe/Berlin", start, utc("2026-03-29 12:00")) == [utc("2026-03-29 01:00")]


def test_a_daily_time_that_comes_twice_fires_the_first_time():
    start = utc("2026-10-24 12:00")
    assert found("30 2 * * *", "Europe/Berlin", start, utc("2026-10-25 12:00")) == [utc("2026-10-25 00:30")]


def test_every_hour_means_every_hour():
    start = utc("2026-10-25 00:00")
    hours = [utc(f"2026-10-25 0{hour}:00") for hour in range(1, 5)]
    assert found("0 * * * *", "Europe/Berlin", start, utc("2026-10-25 04:00")) == hours


def test_six_fields_have_seconds():
    start = utc("2026-01-01 00:00")
    ends = [utc("2026-01-01 00:00:20"), utc("2026-01-01 00:00:40")]
    assert found("*/20 * * * * *", "UTC", start, utc("2026-01-01 00:00:50")) == ends


def test_several_expressions_and_nicknames():
    calendar = CronCalendar("s", ["@daily", "0 12 * * *"], "UTC")
    assert calendar.next_us(0) == 12 * 3600 * 10**6
    assert calendar.next_us(12 * 3600 * 10**6) == 24 * 3600 * 10**6


def test_a_date_that_does_not_exist_never_comes():
    assert CronCalendar("s", ["0 0 */30 2 1#5"], "UTC").next_us(0) is None


@pytest.mark.parametrize("expression", ["", "* * *", "61 * * * *", "a b c d e", "0 0 30 2 *", "@reboot"])
def test_an_expression_that_cannot_be_read_is_refused_with_an_example(expression: str):
    with pytest.raises(ConfigurationError, match=r"schedule 'nightly' .* cannot be read .*'30 2 \* \* 1-5'"):
        CronCalendar("nightly", [expression], "UTC")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "Europe"])
def test_an_unknown_time_zone_is_refused(zone: str):
    with pytest.raises(ConfigurationError, match="there is no time zone"):
        CronCalendar("nightly", ["@daily"], zone)


def test_a_timeline_joins_spec_and_calendar():
    spec = ScheduleSpec(workflow="w", arguments=Payload(b"j"), cron=("@hourly",), every_us=40 * 60 * 10**6)
    minutes = [firing.fires_us // 60_000_000 for firing in islice(timeline("s", spec).coming(0), 4)]
    assert minutes == [40, 60, 80, 120]
    with pytest.raises(ConfigurationError, match="names no workflow"):
        timeline("s", ScheduleSpec(workflow="", arguments=Payload(b"j"), cron=("@hourly",)))
