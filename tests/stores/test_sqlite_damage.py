"""Damaged, foreign and newer files: refused or reported by name, never changed, never a traceback of SQLite."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from aeterna.durable.stores.contract import RunQuery
from aeterna.durable.stores.sqlite import SqliteReader, SqliteStore
from aeterna.durable.stores.sqlite.header import APPLICATION_ID
from aeterna.kernel.errors import StoreCorruptError, StoreError, StoreTooNewError
from tests.stores.samples import create


async def make_store(path: Path, runs: int = 200) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.commit([create(f"run-{number}") for number in range(runs)])
    await store.close()


async def open_and_read(path: Path) -> None:
    store = SqliteStore(path)
    try:
        await store.open()
        page = await store.list_runs(RunQuery(limit=1_000))
        for row in page.rows:
            await store.history(row.id)
        await store.count_runs()
    finally:
        await store.close()


@pytest.mark.parametrize(
    "content", [b"no database at all", b"x" * 5_000, b"SQLite format 3\0" + b"\xff" * 84, b"\0" * 4_096]
)
async def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreCorruptError, match=r"store\.db"):
        await open_and_read(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("size", [99, 512, 4_000, 4_096, 8_192, 30_000])
async def test_a_truncated_file_is_damaged(tmp_path: Path, size: int) -> None:
    path = tmp_path / "store.db"
    await make_store(path)
    os.truncate(path, size)
    with pytest.raises(StoreCorruptError, match=r"store\.db.*backup"):
        await open_and_read(path)


async def test_every_damaged_page_is_found_by_reading_or_by_the_check(tmp_path: Path) -> None:
    """Each page in turn is overwritten with noise: never another error than this one, and the check always tells."""
    path = tmp_path / "store.db"
    await make_store(path)
    good = path.read_bytes()
    refused = 0
    for page in range(len(good) // 4_096):
        path.write_bytes(good[: page * 4_096] + b"\xa5" * 4_096 + good[(page + 1) * 4_096 :])
        try:
            await open_and_read(path)
        except StoreCorruptError:
            refused += 1
        store = SqliteStore(path)
        with suppress(StoreCorruptError):
            await store.open()
            assert await store.check() != []
        await store.close()
    assert refused > 5
    path.write_bytes(good)
    await open_and_read(path)


async def test_a_damaged_history_is_named_with_its_run(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_store(path, runs=4)
    db = apsw.Connection(str(path))
    db.execute("UPDATE segments SET body = x'01c1' WHERE run = 1")
    db.execute("UPDATE segments SET seq = 5 WHERE run = 2")
    db.execute("UPDATE segments SET events = 2 WHERE run = 3")
    db.execute("UPDATE runs SET state = 'ODD' WHERE key = 4")
    db.close()
    store = SqliteStore(path)
    await store.open()
    for number in range(3):
        with pytest.raises(StoreCorruptError, match=rf"store\.db.*run-{number}"):
            await store.history(f"run-{number}")
    with pytest.raises(StoreCorruptError, match=r"run-3.*ODD"):
        await store.get_run("run-3")
    with pytest.raises(StoreCorruptError, match="ODD"):
        await store.count_runs()
    assert len(await store.check()) == 4
    await store.close()


async def test_rows_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_store(path, runs=2)
    db = apsw.Connection(str(path))
    db.execute("INSERT INTO inbox VALUES (77, 3, '', 'signal', 'go', x'', 1)")
    db.execute("INSERT INTO inbox VALUES (1, 1, '', 'signal', 'go', x'', 1)")
    db.execute("UPDATE runs SET owner = 55, finished_us = NULL, state = 'RUNNING' WHERE key = 2")
    db.close()
    store = SqliteStore(path)
    await store.open()
    assert await store.check() == [
        "run 'run-1' of app 'default': session 55 owns it, and has ended or is not there",
        "message 3 is for run number 77, which is not there",
    ]
    await store.close()


async def require_refused_untouched(path: Path, sql: str, error: type[StoreError], match: str) -> None:
    """After this SQL neither an engine nor a reader opens the file, and nothing in it changes."""
    db = apsw.Connection(str(path))
    db.execute(sql)
    db.close()
    before = path.read_bytes()
    for opening in (SqliteStore(path), SqliteReader(path)):
        with pytest.raises(error, match=match):
            await opening.open()
    assert path.read_bytes() == before


async def test_another_programs_database_is_refused_and_untouched(tmp_path: Path) -> None:
    sql = "CREATE TABLE precious (x); INSERT INTO precious VALUES (1)"
    match = r"store\.db is not an Aeterna store"
    await require_refused_untouched(tmp_path / "store.db", sql, StoreCorruptError, match)


async def test_a_newer_store_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_store(path)
    match = r"store\.db has version 77, newer than 2\b"
    await require_refused_untouched(path, "PRAGMA user_version = 77", StoreTooNewError, match)


async def test_a_marked_file_without_a_version_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.close()
    with pytest.raises(StoreCorruptError, match="no version"):
        await SqliteStore(path).open()
