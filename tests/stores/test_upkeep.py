"""Migrating and vacuuming, over real files and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import asyncpg
import pytest

from aeterna.durable.stores.opening import open_upkeep
from aeterna.durable.stores.postgres import PostgresStore
from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.durable.stores.sqlite.statements import load_migrations
from aeterna.kernel.errors import ConfigurationError, StoreError, StoreLockedError, StoreTooNewError, UsageError
from aeterna.testing import FakeClock
from tests.stores.kept import Kept
from tests.stores.samples import add_finished

DAY_US = 86_400_000_000


def old_file(path: Path) -> Path:
    """A store as the first release made it."""
    (version, script), *_ = load_migrations()
    with sqlite3.connect(path) as db:
        db.executescript(script)
        db.executescript(f"PRAGMA application_id = {0x4165746E}; PRAGMA user_version = {version}")
    return path


async def test_an_older_file_is_migrated_once(tmp_path: Path) -> None:
    upkeep = Kept.file(old_file(tmp_path / "store.db")).upkeep
    newest = load_migrations()[-1][0]
    assert await upkeep.versions() == (1, newest)
    assert await upkeep.migrate() == (1, newest)
    assert await upkeep.migrate() == (newest, newest)
    assert await upkeep.script(newest) == ""


async def test_the_script_of_a_file_does_what_migrating_does(tmp_path: Path) -> None:
    by_hand, by_us = old_file(tmp_path / "a.db"), old_file(tmp_path / "b.db")
    upkeep = Kept.file(by_us).upkeep
    script = await upkeep.script((await upkeep.versions())[0])
    with sqlite3.connect(by_hand) as db:
        db.executescript(script)
    await upkeep.migrate()
    schemas = []
    for path in (by_hand, by_us):
        with sqlite3.connect(path) as db:
            rows = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
            schemas.append((rows, db.execute("PRAGMA user_version").fetchone()))
    assert schemas[0] == schemas[1]


async def test_a_file_that_is_in_use_or_newer_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    upkeep = Kept.file(path).upkeep
    for work in (upkeep.migrate, upkeep.vacuum):
        with pytest.raises(StoreLockedError, match=r"in use by another engine \(pid \d+ since"):
            await work()
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNewError):
        await upkeep.migrate()
    with pytest.raises(StoreError, match="no store at"):
        await Kept.file(tmp_path / "none.db").upkeep.versions()
    with pytest.raises(ConfigurationError):
        open_upkeep("memory:")


async def test_a_database_is_migrated_under_the_lock_and_verified_only_then(postgres_url: str) -> None:
    upkeep = Kept.postgres(postgres_url).upkeep
    assert (await upkeep.versions())[0] == 0
    script = await upkeep.script(0)
    assert "CREATE TABLE" in script
    for work in (upkeep.vacuum, upkeep.read().__aenter__):
        with pytest.raises(StoreError, match=r"has version 0, this release reads .*aeterna db migrate"):
            await work()
    assert (await upkeep.versions())[0] == 0
    before, after = await upkeep.migrate()
    assert (before, await upkeep.versions()) == (0, (after, after))
    assert await upkeep.migrate() == (after, after)


async def test_a_file_shrinks_and_keeps_everything(tmp_path: Path) -> None:
    kept = Kept.file(tmp_path / "store.db")
    await kept.live()
    await kept.damage("CREATE TABLE ballast AS SELECT randomblob(2000000) AS x; DROP TABLE ballast")
    before, after = await kept.upkeep.vacuum()
    assert before > 2_000_000
    assert after < 200_000
    store = SqliteStore(tmp_path / "store.db", "shop")
    await store.open()
    assert sum((await store.count_runs()).values()) == 5
    assert await store.check() == []
    await store.close()


async def test_the_owner_of_a_file_can_shrink_it_while_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    with sqlite3.connect(path) as db:
        db.executescript("CREATE TABLE ballast AS SELECT randomblob(2000000) AS x; DROP TABLE ballast")
    before, after = await store.vacuum()
    assert before > 2_000_000 > after
    await add_finished(store, "A")
    assert await store.check() == []
    await store.close()


async def test_partitions_of_past_days_go_with_their_runs(postgres_url: str) -> None:
    clock = FakeClock()
    store = PostgresStore(postgres_url, clock=clock)
    await store.open()
    await add_finished(store, "old")
    await store.close()
    kept = Kept.postgres(postgres_url)
    day = clock.now_us() // DAY_US
    first = day - day % 7
    connection = await asyncpg.connect(postgres_url.partition("?")[0])

    async def is_there() -> bool:
        name = f"{kept.schema}.events_{first}_{first + 7}"
        return await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name) is True

    assert await is_there()
    await kept.upkeep.vacuum()
    assert await is_there(), "a run needs it"
    await kept.damage("DELETE FROM {runs}")
    before, after = await kept.upkeep.vacuum()
    assert not await is_there()
    assert 0 < after < before
    analyzed = "SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)"
    assert await connection.fetchval(analyzed, f"{kept.schema}.runs") == 0
    await connection.close()


async def test_a_cluster_looks_after_its_space_by_itself(postgres_url: str) -> None:
    with pytest.raises(UsageError, match="by itself"):
        await Kept.postgres(f"{postgres_url}&profile=distributed").upkeep.vacuum()
