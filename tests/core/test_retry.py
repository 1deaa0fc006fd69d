"""Retry arithmetic: pure, monotonic, bounded."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core.retry import NO_RETRY, RetryPolicy

seconds = st.floats(0, 1e6)
policies = st.builds(
    RetryPolicy,
    maximum_attempts=st.integers(0, 10),
    initial_interval=seconds | st.timedeltas(timedelta(0), timedelta(days=30)),
    backoff_coefficient=st.floats(1, 1e300),
    maximum_interval=seconds | st.timedeltas(timedelta(0), timedelta(days=30)),
)


@given(policies, st.integers(1, 100_000))
def test_waits_grow_and_stay_below_the_maximum(policy: RetryPolicy, attempt: int) -> None:
    wait, later = policy.interval_us(attempt), policy.interval_us(attempt + 1)
    assert 0 <= wait <= later <= policy.maximum_interval_us


@given(policies, st.integers(1, 20))
def test_an_attempt_follows_exactly_while_some_are_left(policy: RetryPolicy, attempt: int) -> None:
    wait_us = policy.wait_us(attempt, ValueError())
    if policy.maximum_attempts and attempt >= policy.maximum_attempts:
        assert wait_us is None
    else:
        assert wait_us == policy.interval_us(attempt)


def test_the_usual_policy_doubles_from_one_second_to_a_minute() -> None:
    policy = RetryPolicy(maximum_attempts=0)
    assert [policy.interval_us(n) // 1_000_000 for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_without_a_policy_there_is_one_attempt() -> None:
    assert NO_RETRY.wait_us(1, ValueError()) is None


class Teapot(ValueError):
    """A subclass, to see what covers it."""


@pytest.mark.parametrize(
    ("non_retryable", "is_retried"),
    [
        ((ValueError,), False),
        ((Teapot,), False),
        ((KeyError, "OSError"), True),
        (("Teapot",), False),
        ((f"{Teapot.__module__}.Teapot",), False),
        (("ValueError",), True),
    ],
)
def test_a_type_covers_its_subclasses_and_a_name_only_itself(
    non_retryable: tuple[type[BaseException] | str, ...], is_retried: bool
) -> None:
    policy = RetryPolicy(non_retryable=non_retryable)
    assert (policy.wait_us(1, Teapot()) is not None) == is_retried


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"maximum_attempts": -1}, "maximum_attempts is -1"),
        ({"initial_interval": -0.5}, "interval is negative"),
        ({"maximum_interval": timedelta(seconds=-1)}, "interval is negative"),
        ({"backoff_coefficient": 0.5}, "backoff_coefficient is 0.5"),
        ({"backoff_coefficient": float("nan")}, "backoff_coefficient is nan"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        RetryPolicy(**options)
