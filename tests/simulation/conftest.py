"""Killed processes leave garbage behind, as real ones leave it to the kernel: it is collected with the test that made
it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

LEFTOVERS = ["ignore:coroutine .* was never awaited:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What suspended coroutines of a killed process say when they are collected is of no interest."""
    for item in items:
        if "tests/simulation" in item.path.as_posix():
            for leftover in LEFTOVERS:
                item.add_marker(pytest.mark.filterwarnings(leftover))


@pytest.fixture(autouse=True)
def _collect_leftovers() -> Iterator[None]:
    yield
    gc.collect()
