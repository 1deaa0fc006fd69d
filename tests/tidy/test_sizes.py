"""Functions, files and classes stay small enough to be read at once (STYLE, shape)."""

from __future__ import annotations

import warnings

import pytest

from tests.tidy import ratchet, rules
from tests.tidy.source import class_sizes, functions, sources


def test_no_function_is_longer_than_the_hard_limit() -> None:
    too_long = [f"{f.place}: {f.lines}" for s in sources() for f in functions(s) if f.lines > rules.FUNCTION_HARD]
    assert not too_long, f"functions over {rules.FUNCTION_HARD} lines (docstring not counted), split them"


def test_no_function_nests_deeper_than_the_limit() -> None:
    too_deep = [f"{f.place}: {f.depth}" for s in sources() for f in functions(s) if f.depth > rules.DEPTH_HARD]
    assert not too_deep, f"blocks nested deeper than {rules.DEPTH_HARD}: return early or name the inner part"


def test_no_function_takes_more_parameters_than_the_limit() -> None:
    limit = rules.PARAMETERS_HARD
    too_many = [f"{f.place}: {f.parameters}" for s in sources() for f in functions(s) if f.parameters > limit]
    assert not too_many, f"more than {limit} parameters: make a frozen options record"


def test_no_class_is_longer_than_the_limit() -> None:
    too_long = [f"{place}: {lines}" for s in sources() for place, lines in class_sizes(s) if lines > rules.CLASS_HARD]
    assert not too_long, f"classes over {rules.CLASS_HARD} lines"


def test_no_file_is_longer_than_the_hard_limit() -> None:
    too_long = [f"{s.path}: {len(s.lines)}" for s in sources() if len(s.lines) > rules.FILE_HARD]
    assert not too_long, f"files over {rules.FILE_HARD} lines"


@pytest.mark.parametrize("name", sorted(ratchet.recorded()))
def test_a_counted_habit_does_not_spread(name: str) -> None:
    """Each number of the ratchet may only fall; one that fell is told, so that it gets recorded."""
    allowed, present = ratchet.recorded()[name], ratchet.measure()[name]
    assert present <= allowed, f"{name} rose: undo it, or say why and `python -m tests.tidy.ratchet --raise`"
    if present < allowed:
        news = f"tidy: {name} fell from {allowed} to {present}: `python -m tests.tidy.ratchet --write`"
        warnings.warn(news, stacklevel=1)


def test_every_counted_habit_is_recorded() -> None:
    assert set(ratchet.measure()) == set(ratchet.recorded()), "run `python -m tests.tidy.ratchet --write`"


def test_the_ratchet_only_lowers_unless_told_otherwise() -> None:
    old, new = {"a": 3, "b": 3, "gone": 1}, {"a": 2, "b": 4, "new": 7}
    assert ratchet.merge(old, new, may_rise=False) == {"a": 2, "b": 3, "new": 7}
    assert ratchet.merge(old, new, may_rise=True) == new
