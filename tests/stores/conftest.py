"""The stores under test."""

from __future__ import annotations

from pathlib import Path

import pytest

from aeterna.durable.stores.contract import Store
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store in turn, not yet open."""
    if request.param == "memory":
        return MemoryStore()
    return SqliteStore(tmp_path / "store.db")
