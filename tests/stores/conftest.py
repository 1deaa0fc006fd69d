"""The stores under test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from aeterna.durable.stores.contract import Store
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.postgres import PostgresStore
from aeterna.durable.stores.sqlite import SqliteStore
from tests.stores.postgres_server import PostgresServer

_schemas = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test session."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of an empty schema."""
    return f"{postgres_server.url}?schema=test_{next(_schemas)}"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store in turn, not yet open."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "postgres":
        return PostgresStore(request.getfixturevalue("postgres_url"))
    return SqliteStore(tmp_path / "store.db")


@pytest.fixture(params=["memory", "sqlite"])
def store_of_one(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store that one process holds alone, not yet open."""
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.db")
