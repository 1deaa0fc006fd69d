"""Bad disks, bad files, bad neighbours: each the right error that names the file, and nothing lost afterwards."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from aeterna.durable.stores.contract import Appended
from aeterna.durable.stores.sqlite import SqliteReader, SqliteStore
from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.kernel.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreReadOnlyError,
)
from tests.stores.samples import add_run, append, create
from tests.stores.writer_process import wait_acknowledged, writing

NOBODY = 65_534


def in_child(work: Callable[[], None]) -> None:
    """Run ``work`` in a forked child; what it raises fails the test here."""
    with warnings.catch_warnings():
        # Newer Pythons warn of threads that the child lacks; it starts its own loop and uses none of the parent's.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            if status:
                os.write(2, traceback.format_exc().encode())
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


async def fill(store: SqliteStore, key: int) -> None:
    """Append until the store refuses; then nothing of the refused commit is there."""
    row = await store.get_run("A")
    assert row is not None
    first = row.length
    with pytest.raises(StoreFullError, match=r"store\.db.*free space.*acknowledged is safe"):
        for _ in range(2_000):
            await store.commit([append(key, first, 0, count=50)])
            first += 50
    row = await store.get_run("A")
    assert row is not None
    assert row.length == first
    assert len(await store.history("A")) == first


async def go_on(store: SqliteStore, key: int) -> None:
    row = await store.get_run("A")
    assert row is not None
    assert await store.commit([append(key, row.length, 0, count=50)]) == [Appended()]
    assert await store.check() == []


async def test_a_full_database_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    key = await add_run(store, "A")
    db = store._file.require_open().transactions.db
    most = db.execute("PRAGMA max_page_count").get
    db.execute("PRAGMA max_page_count = 60")
    await fill(store, key)
    db.execute(f"PRAGMA max_page_count = {most}")
    await go_on(store, key)
    await store.close()


def test_a_file_size_limit_refuses_and_goes_on_when_it_is_lifted(tmp_path: Path) -> None:
    """The operating system refuses to write: what a full disk or a quota looks like."""

    async def work() -> None:
        store = SqliteStore(tmp_path / "store.db")
        await store.open()
        key = await add_run(store, "A")
        most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, most[1]))
        await fill(store, key)
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
        await go_on(store, key)
        await store.close()

    def child() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        asyncio.run(work())

    in_child(child)


def as_nobody(work: Callable[[], None]) -> None:
    """Run ``work`` as a user whom file modes bind: root may write everything."""

    def child() -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    in_child(child)


def reachable(path: Path) -> None:
    """Let everybody through to ``path``; pytest makes its directories for one user only."""
    for directory in path.parents:
        if directory.owner() == path.owner() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    reachable(tmp_path)

    def work() -> None:
        for path in (tmp_path / "store.db", tmp_path / "below" / "store.db"):
            with pytest.raises(StoreReadOnlyError, match=r"store\.db.*[Pp]ermission"):
                asyncio.run(SqliteStore(path).open())

    as_nobody(work)
    tmp_path.chmod(0o755)


async def test_a_file_that_cannot_be_written_is_named_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    await add_run(store, "A")
    await store.close()
    path.chmod(0o444)
    tmp_path.chmod(0o777)
    path.with_name("store.db.lock").chmod(0o666)
    reachable(path)
    before = path.read_bytes()

    def work() -> None:
        with pytest.raises(StoreReadOnlyError, match=r"store\.db.*read-only"):
            asyncio.run(SqliteStore(path).open())

    as_nobody(work)
    assert path.read_bytes() == before
    path.chmod(0o644)
    await store.open()
    assert await store.get_run("A") is not None
    await store.close()


async def test_a_second_engine_on_the_same_file_is_told_who_has_it(tmp_path: Path) -> None:
    """In this process or another; the lock is free again when the holder closes, and when it is killed."""
    path = tmp_path / "store.db"
    store, second = SqliteStore(path), SqliteStore(path, "other")
    await store.open()
    with pytest.raises(StoreLockedError, match=rf"store\.db.*pid {os.getpid()} since 20.*stop that one"):
        await second.open()
    await store.close()
    with writing(path, 1) as process:
        wait_acknowledged(process, 1)
        with pytest.raises(StoreLockedError, match=rf"store\.db.*pid {process.pid} since 20"):
            await second.open()
        process.kill()
    await second.open()
    await second.close()


async def test_a_foreign_lock_inside_the_database_is_an_error_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    db = apsw.Connection(str(path))
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLockedError, match=r"store\.db"):
        await store.commit([create("A")])
    db.execute("ROLLBACK")
    db.close()
    await add_run(store, "A")
    await store.close()


async def test_a_reader_of_a_missing_file_says_so_and_creates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    reader = SqliteReader(path)
    with pytest.raises(StoreError, match=r"there is no store at .*store\.db"):
        await reader.open()
    with pytest.raises(StoreError, match="not open"):
        await reader.count_runs()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EFBIG, StoreFullError),
        (errno.EACCES, StoreReadOnlyError),
        (errno.EROFS, StoreReadOnlyError),
        (errno.EIO, StoreError),
    ],
)
def test_errors_of_the_operating_system_are_classed_by_what_helps(
    number: int, kind: type[StoreError], tmp_path: Path
) -> None:
    (tmp_path / "x.db").write_bytes(b"a store")
    told = pytest.raises(StoreError, match=r"cannot open the store at .*/x\.db: .*acknowledged is safe")
    with told as caught, explaining(tmp_path / "x.db", "open"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (apsw.FullError, StoreFullError),
        (apsw.ReadOnlyError, StoreReadOnlyError),
        (apsw.CantOpenError, StoreReadOnlyError),
        (apsw.CorruptError, StoreCorruptError),
        (apsw.NotADBError, StoreCorruptError),
        (apsw.BusyError, StoreLockedError),
        (apsw.IOError, StoreError),
        (apsw.NoMemError, StoreError),
    ],
)
def test_errors_of_sqlite_are_classed_by_what_helps(
    error: type[apsw.Error], kind: type[StoreError], tmp_path: Path
) -> None:
    (tmp_path / "x.db").write_bytes(b"a store")
    told = pytest.raises(StoreError, match=r"cannot read the store at .*/x\.db: .*acknowledged is safe")
    with told as caught, explaining(tmp_path / "x.db", "read"):
        raise error("as SQLite says it")
    assert type(caught.value) is kind
