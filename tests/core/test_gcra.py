"""The rate limit: never exceeded in any period, and not stricter than it must be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core.gcra import Rate, next_start_us, starts_left, tat_after

rates = st.builds(Rate, st.integers(1, 50), st.integers(1, 1_000), st.integers(1, 20))
gaps = st.lists(st.integers(0, 300), max_size=60)


def starts(rate: Rate, gaps_us: list[int], *, wanted: int = 1) -> list[int]:
    """When starts happen that are asked for after each gap, so many at a time."""
    tat_us, now_us, found = 0, 1_000_000, []
    for gap_us in gaps_us:
        now_us += gap_us
        count = min(starts_left(rate, tat_us, now_us), wanted)
        tat_us = tat_after(rate, tat_us, now_us, count)
        found += [now_us] * count
    return found


@given(rates, gaps, st.integers(1, 5))
def test_no_window_holds_more_than_the_burst_and_one_start_per_spacing(rate: Rate, gaps_us: list[int], wanted: int):
    times = starts(rate, gaps_us, wanted=wanted)
    for first, at_us in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= rate.burst + (times[last] - at_us) // rate.spacing_us


@given(rates, st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_next_start_is_the_first_time_that_allows_one(rate: Rate, tat_us: int, now_us: int):
    next_us = next_start_us(rate, tat_us, now_us)
    assert next_us >= now_us
    assert starts_left(rate, tat_us, next_us) > 0
    assert next_us == now_us or starts_left(rate, tat_us, next_us - 1) == 0


@given(rates, st.integers(0, 10**6), st.integers(0, 10**6))
def test_starts_can_be_counted_at_once_or_one_by_one(rate: Rate, tat_us: int, now_us: int):
    left = starts_left(rate, tat_us, now_us)
    number = tat_us
    for _ in range(left):
        assert starts_left(rate, number, now_us) > 0
        number = tat_after(rate, number, now_us, 1)
    assert starts_left(rate, number, now_us) == 0
    assert number == tat_after(rate, tat_us, now_us, left)


def test_an_unused_limit_allows_its_burst():
    rate = Rate(starts=10, period_us=1_000_000, burst=3)
    assert rate.spacing_us == 100_000
    assert starts_left(rate, 0, 5_000_000) == 3
    tat_us = tat_after(rate, 0, 5_000_000, 3)
    assert starts_left(rate, tat_us, 5_000_000) == 0
    assert next_start_us(rate, tat_us, 5_000_000) == 5_100_000


def test_a_spacing_is_rounded_up_so_that_the_limit_is_kept():
    assert Rate(3, 1_000_000).spacing_us == 333_334
    assert Rate(10, 1).spacing_us == 1
