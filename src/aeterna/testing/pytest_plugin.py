"""A pytest fixture; enable it with ``pytest_plugins = ["aeterna.testing.pytest_plugin"]`` or ``-p``."""

from __future__ import annotations

import pytest

from aeterna.testing.environment import Environment


@pytest.fixture
def aeterna_env() -> Environment:
    """A fresh `Environment`: its own memory store, its own virtual time."""
    return Environment()
