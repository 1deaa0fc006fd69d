"""Durations: what Go and compose write is read, exactly; anything else is refused with what was probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.config.durations import MS_MAX, format_duration, parse_duration
from aeterna.config.mistakes import UnfitError

UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("5s", 5_000),
        ("0", 0),
        ("0s", 0),
        ("250ms", 250),
        ("1m30s", 90_000),
        ("1h", 3_600_000),
        ("1h15m30.918s", 4_530_918),
        ("1.5h", 5_400_000),
        (".5s", 500),
        ("1.s", 1_000),
        ("2d", 172_800_000),
        ("1500us", 2),
        ("1µs", 1),
        ("1ns", 1),
        ("90s", 90_000),
    ],
)
def test_a_duration_is_whole_milliseconds_and_never_rounded_to_nothing(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("5", "it has no unit", "5s for seconds, or 5ms for milliseconds"),
        ("1.5", "it has no unit", "1.5s for seconds, or 1.5ms for milliseconds"),
        ("30sec", "there is no unit 'sec'", "did you mean '30s'?"),
        ("5 s", "it is no duration", "did you mean '5s'?"),
        ("5 minutes", "it is no duration", "did you mean '5m'?"),
        ("1h 30m", "it is no duration", "did you mean '1h30m'?"),
        ("5S", "it is no duration", "did you mean '5s'?"),
        ("1:30", "it is no duration", "did you mean '1m30s'?"),
        ("soon", "it is no duration", "like 5s, 250ms, 1m30s or 1h"),
        ("", "it is no duration", "like 5s, 250ms, 1m30s or 1h"),
        ("-5s", "a duration is not negative", "0s for none"),
        ("1s1m", "its units do not go from long to short, each once", "1m30s"),
        ("1m1m", "its units do not go from long to short, each once", "1m30s"),
        ("99999d", "it is longer than ten years", "at most 3650d"),
        ("5s!", "it is no duration", "like 5s"),
        ("\u0665s", "it is no duration", "like 5s"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_would_be_right(text: str, wrong: str, right: str) -> None:
    with pytest.raises(UnfitError) as caught:
        parse_duration(text)
    assert caught.value.wrong == wrong
    assert right in caught.value.right


@given(st.integers(0, MS_MAX))
def test_a_written_duration_reads_as_it_was(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(list(UNITS))), min_size=1, unique_by=lambda p: p[1]))
def test_parts_add_up_in_whatever_units_they_are_written(parts: list[tuple[int, str]]) -> None:
    ordered = sorted(parts, key=lambda part: -UNITS[part[1]])
    text = "".join(f"{count}{unit}" for count, unit in ordered)
    assert parse_duration(text) == sum(count * UNITS[unit] for count, unit in parts)


@given(st.text(alphabet="0123456789.hmsdnuµ -+:S", max_size=12))
def test_any_text_is_read_or_refused_and_what_is_suggested_can_be_read(text: str) -> None:
    try:
        assert 0 <= parse_duration(text) <= MS_MAX
    except UnfitError as unfit:
        _, _, guess = unfit.right.partition("did you mean '")
        if guess:
            parse_duration(guess.removesuffix("'?"))
