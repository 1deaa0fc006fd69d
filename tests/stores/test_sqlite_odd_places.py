"""Places where no store is or can be: each named for what it is, nothing left behind, and no reassurance about a store
that never was."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from aeterna.durable.stores.sqlite import SqliteReader, SqliteStore
from aeterna.durable.stores.sqlite.checking import check_database
from aeterna.durable.stores.sqlite.header import APPLICATION_ID
from aeterna.kernel.errors import StoreCorruptError, StoreError, StoreLockedError, StoreReadOnlyError, StoreTooNewError
from tests.stores.samples import add_run, create


def make_foreign_database(path: Path, application: int) -> None:
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA application_id = {application}; CREATE TABLE precious (x); INSERT INTO precious VALUES (1)")
    db.close()


@pytest.mark.parametrize("content", [b"hello", b"x" * 5_000, b"\0" * 4_096])
async def test_a_file_of_another_kind_is_called_that_and_nothing_is_left_beside_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    for opening in (SqliteStore(path), SqliteReader(path)):
        with pytest.raises(StoreCorruptError, match=r"notes\.txt is not an Aeterna store") as caught:
            await opening.open()
        assert "damaged" not in str(caught.value)
    with pytest.raises(StoreCorruptError, match="is not an Aeterna store"):
        check_database(path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert path.read_bytes() == content


@pytest.mark.parametrize("application", [0, 7])
async def test_another_programs_database_gets_no_lock_beside_it(tmp_path: Path, application: int) -> None:
    path = tmp_path / "other.db"
    make_foreign_database(path, application)
    with pytest.raises(StoreCorruptError, match="another program's SQLite database"):
        await SqliteStore(path).open()
    assert [path.name for path in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.parametrize("place", [".", "/dev/null"])
async def test_what_is_no_file_is_no_store(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    for opening in (SqliteStore(path), SqliteReader(path)):
        with pytest.raises(StoreCorruptError, match="is not an Aeterna store"):
            await opening.open()
    assert [path.name for path in tmp_path.iterdir()] == []


async def test_an_empty_file_becomes_a_store_and_is_none_until_then(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    with pytest.raises(StoreError, match=r"no store at .* yet: the file is empty"):
        await SqliteReader(path).open()
    store = SqliteStore(path)
    await store.open()
    await add_run(store, "A")
    await store.close()
    assert check_database(path) == []


@pytest.mark.parametrize("place", ["file/store.db", "file/below/store.db"])
async def test_a_place_below_a_file_is_said_to_be_that(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="its directory is a file") as caught:
        await SqliteStore(tmp_path / place).open()
    assert "acknowledged" not in str(caught.value)
    with pytest.raises(StoreError, match="there is no store at"):
        await SqliteReader(tmp_path / place).open()


@pytest.mark.parametrize("place", ["/proc/store.db", "/proc/below/store.db"])
async def test_where_nobody_can_make_a_file_the_place_is_to_blame(place: str) -> None:
    with pytest.raises(StoreReadOnlyError, match="give another path") as caught:
        await SqliteStore(Path(place)).open()
    assert "acknowledged" not in str(caught.value)


async def test_a_store_whose_first_commit_never_came_is_no_stranger(tmp_path: Path) -> None:
    """The process died after SQLite had made the file and before anything was in it."""
    path = tmp_path / "store.db"
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    assert path.stat().st_size
    store = SqliteStore(path)
    await store.open()
    await store.close()


async def test_a_newer_store_is_not_called_damaged_by_the_check(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    make_foreign_database(path, APPLICATION_ID)
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 77")
    db.close()
    with pytest.raises(StoreTooNewError):
        check_database(path)


async def test_a_backup_of_a_damaged_store_is_refused_and_removed(tmp_path: Path) -> None:
    """Some page of the runs is overwritten with noise; opening the store does not show it."""
    path, target = tmp_path / "store.db", tmp_path / "copy.db"
    store = SqliteStore(path)
    await store.open()
    await store.commit([create(f"run-{number}") for number in range(2_000)])
    await store.backup(target)
    await store.close()
    target.unlink()
    good = path.read_bytes()
    page = len(good) // 4_096 // 2
    path.write_bytes(good[: page * 4_096] + b"\xa5" * 4_096 + good[(page + 1) * 4_096 :])
    await store.open()
    with pytest.raises(StoreCorruptError, match=r"the backup of .*store\.db is damaged.*No copy was kept"):
        await store.backup(target)
    await store.close()
    assert not target.exists()


async def test_looking_at_a_store_that_is_open_here_drops_no_lock(tmp_path: Path) -> None:
    """Closing a file ends the locks of the whole process on it, unless SQLite does it: another process would be let
    in."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    await add_run(store, "A")
    before = locks_on(path)
    assert before
    assert check_database(path) == []
    with pytest.raises(StoreLockedError):
        await SqliteStore(path).open()
    assert locks_on(path) == before
    await store.close()


def locks_on(path: Path) -> list[str]:
    """The POSIX locks of this process on the file, as the kernel lists them."""
    inode, lines = path.stat().st_ino, Path("/proc/locks").read_text("ascii").splitlines()
    return [line.split(":", 1)[1] for line in lines if f":{inode} " in line and f" {os.getpid()} " in line]
