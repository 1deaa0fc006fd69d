"""Durations, rates and times, from the words of a command line; each for ``type=``."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from aeterna.cli.options import whole_number
from aeterna.config.durations import parse_duration
from aeterna.config.mistakes import UnfitError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PERIODS = {"s": 1_000_000, "sec": 1_000_000, "min": 60_000_000, "m": 60_000_000, "h": 3_600_000_000}
NO_LIMIT = "none"


def duration_us(text: str) -> int:
    """``90s``, ``1h30m``: in microseconds."""
    try:
        return parse_duration(text) * 1_000
    except UnfitError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def limit(text: str) -> int | None:
    """A number from 1, or ``none``."""
    if text == NO_LIMIT:
        return None
    number = whole_number(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give 1 or more, or {NO_LIMIT}")
    return number


def rate(text: str) -> tuple[int, int] | None:
    """``10/s``, ``100/min``, ``5/30s`` or ``none``: the number and the period in microseconds."""
    if text == NO_LIMIT:
        return None
    count, slash, period = text.partition("/")
    number = limit(count)
    if not slash or number is None:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number and a period, like 10/s, 100/min or 5/30s")
    return number, _PERIODS.get(period) or duration_us(period)


def time_us(text: str) -> int:
    """A time as ISO 8601; one without a zone is UTC."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write it like 2026-01-31T12:00:00Z") from None
    if given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    return (given - _EPOCH) // timedelta(microseconds=1)
