"""Fingerprints of inputs: equal values have equal ones, in every process."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from aeterna.durable.core import codec
from aeterna.durable.core.retry import RetryPolicy
from aeterna.kernel.errors import SerializationError


class Tags(pydantic.BaseModel):
    names: set[str]


class Keyed(pydantic.BaseModel):
    key: pydantic.SecretStr


def test_a_model_with_a_set_has_one_fingerprint_whatever_the_order_of_the_set() -> None:
    """The order of a set differs from process to process, and must not look like another input."""
    names = [f"name-{number}" for number in range(50)]
    backwards = sorted(names, reverse=True)
    first, second = Tags(names=set(names)), Tags(names=set(backwards))
    assert codec.fingerprint(first, "x") == codec.fingerprint(second, "x")
    assert codec.fingerprint(first, "x") == codec.fingerprint({"names": sorted(names)}, "x")
    assert codec.fingerprint(Tags(names={"other"}), "x") != codec.fingerprint(first, "x")


def test_a_model_that_only_its_own_json_form_can_express_has_a_fingerprint_too() -> None:
    """What msgspec refuses by value is taken as the model writes it; what neither can write is named."""
    first = Keyed(key=pydantic.SecretStr("one"))
    assert codec.fingerprint(first, "x") == codec.fingerprint(Keyed(key=pydantic.SecretStr("one")), "x")
    with pytest.raises(SerializationError, match="the input of step 'x' cannot be recorded"):
        codec.fingerprint(object(), "the input of step 'x'")


@pytest.mark.parametrize("kinds", [ValueError, "ValueError", (3,)])
def test_non_retryable_that_is_no_tuple_of_errors_is_refused_at_once(kinds: Any) -> None:
    """A policy that could not be applied when a step fails is refused when it is made."""
    with pytest.raises(ValueError, match="give a tuple of exception types or names"):
        RetryPolicy(non_retryable=kinds)
