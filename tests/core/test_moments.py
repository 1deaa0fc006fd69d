"""Times in words."""

from __future__ import annotations

import pytest

from aeterna.durable.core.moments import iso_utc, span, when


@pytest.mark.parametrize(
    ("at_us", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000, "1970-01-01T00:00:01.5Z"),
        (10_000_000, "1970-01-01T00:00:10Z"),
        (2**62, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times_have_the_digits_they_need(at_us: int, text: str):
    assert iso_utc(at_us) == text


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (999, "0 s"),
        (1_500, "1 ms"),
        (2_000_000, "2 s"),
        (2_003_000, "2 s 3 ms"),
        (3_600_000_000, "1 h"),
        (90_061_000_000, "1 d 1 h"),
        (86_400_000_000 + 60_000_000, "1 d"),
    ],
)
def test_spans_have_two_units_at_most(us: int, text: str):
    assert span(us) == text


def test_a_time_says_how_far_away_it_is():
    assert when(70_000_000, 10_000_000) == "1970-01-01T00:01:10Z (in 1 min)"
    assert when(10_000_000, 70_000_000) == "1970-01-01T00:00:10Z (1 min ago)"
