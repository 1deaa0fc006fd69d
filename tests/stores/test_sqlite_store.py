"""What only the SQLite store promises: readers beside it, namespaces, backups under load, where commits run."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import FencedOff, RunQuery
from aeterna.durable.stores.sqlite import SqliteReader, SqliteStore
from aeterna.durable.stores.sqlite.pace import CommitPace
from aeterna.durable.stores.sqlite.side_thread import SideThread
from aeterna.kernel.errors import StoreError
from tests.stores.samples import add_finished, add_run, append, create, created, ids, steps


async def test_missing_directories_are_made(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a" / "b" / "store.db")
    await store.open()
    assert store.path.exists()
    await store.close()


async def test_a_reader_sees_the_last_commit_while_the_engine_runs(tmp_path: Path) -> None:
    store, reader = SqliteStore(tmp_path / "store.db"), SqliteReader(tmp_path / "store.db")
    await store.open()
    await reader.open()
    await reader.open()
    assert await reader.get_run("A") is None
    key = await add_run(store, "A")
    await store.commit([append(key, 1, 0, count=2)])
    assert await reader.get_run("A") == await store.get_run("A")
    assert await reader.history("A", 1) == list(steps(1, 2))
    assert await reader.count_runs() == {State.PENDING: 1}
    assert await reader.list_runs(RunQuery()) == await store.list_runs(RunQuery())
    assert await reader.check() == []
    await reader.close()
    await reader.close()
    await store.close()


async def make_two_namespaces(path: Path) -> None:
    for namespace in ("x", "y"):
        store = SqliteStore(path, namespace)
        await store.open()
        await add_run(store, "same")
        await add_run(store, f"only-{namespace}")
        await add_finished(store, f"done-{namespace}")
        await store.close()


async def test_namespaces_share_a_file_and_nothing_else(tmp_path: Path) -> None:
    await make_two_namespaces(tmp_path / "store.db")
    store = SqliteStore(tmp_path / "store.db", "x")
    await store.open()
    assert ids((await store.list_runs(RunQuery())).rows) == ["done-x", "only-x", "same"]
    assert await store.delete_runs(["done-y"]) == 0
    session = await store.open_session(1, "host", 1)
    assert ids(await store.claim(session, 10, 9)) == ["same", "only-x"]
    assert await store.claim_run(session, "only-y") is None
    await store.close()


async def test_a_reader_shows_one_namespace_or_all(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_two_namespaces(path)
    every, one = SqliteReader(path), SqliteReader(path, "y")
    await every.open()
    await one.open()
    assert sum((await every.count_runs()).values()) == 6
    assert ids((await every.list_runs(RunQuery())).rows) == ["done-y", "only-y", "same", "done-x", "only-x", "same"]
    assert ids((await one.list_runs(RunQuery())).rows) == ["done-y", "only-y", "same"]
    assert await every.get_run("same") == await one.get_run("same")
    assert await every.history("only-x") == [created()]
    assert await one.history("only-x") == []
    await every.close()
    await one.close()


async def test_a_backup_under_load_is_one_consistent_moment(tmp_path: Path) -> None:
    """Commits go on while it copies; each adds one event to both runs, so a torn copy would show unequal histories."""
    path, target = tmp_path / "store.db", tmp_path / "copy.db"
    store = SqliteStore(path)
    await store.open()
    keys = [await add_run(store, "A"), await add_run(store, "B")]
    await store.commit([create(f"ballast-{number}", events=(created(), *steps(1, 20))) for number in range(3_000)])
    backup = asyncio.create_task(store.backup(target))
    first = 1
    while not backup.done():
        await store.commit([append(key, first, 0) for key in keys])
        first += 1
        await asyncio.wait([backup], timeout=0)
    await backup
    assert first > 3
    await store.commit([append(key, first, 0) for key in keys])
    await store.close()
    copy = SqliteStore(target)
    await copy.open()
    histories = [await copy.history(run_id) for run_id in "AB"]
    assert histories[0] == histories[1]
    assert len(histories[0]) <= first
    assert await copy.check() == []
    await add_run(copy, "C")
    await copy.close()


async def test_a_cancelled_backup_leaves_nothing_behind(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    await store.commit([create(f"ballast-{number}", events=(created(), *steps(1, 20))) for number in range(1_000)])
    backup = asyncio.create_task(store.backup(tmp_path / "copy.db"))
    await asyncio.wait([backup], timeout=0)
    backup.cancel()
    with pytest.raises(asyncio.CancelledError):
        await backup
    assert not (tmp_path / "copy.db").exists()
    await store.backup(tmp_path / "copy.db")
    await store.close()


async def test_space_of_deleted_runs_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    sizes = []
    for round_number in range(3):
        names = [f"{round_number}-{number}" for number in range(300)]
        for name in names:
            await add_finished(store, name)
        assert await store.delete_runs(names) == 300
        await store.close()
        sizes.append(path.stat().st_size)
        await store.open()
    assert sizes[2] <= sizes[0] * 1.1
    await store.close()


class SlowDiskClock:
    """A monotonic clock that shows every commit as taking ``commit_us``."""

    def __init__(self) -> None:
        self.commit_us = 0
        self._now_us = 0

    def now_us(self) -> int:
        return 0

    def monotonic_us(self) -> int:
        self._now_us += self.commit_us
        return self._now_us


def is_off_loop(store: SqliteStore) -> bool:
    return store._file.require_open().pace.off_loop


async def test_commits_leave_the_loop_while_the_disk_is_slow_and_come_back(tmp_path: Path) -> None:
    """Either way the answers are the same, and writers that queue up are served one after the other."""
    clock = SlowDiskClock()
    store = SqliteStore(tmp_path / "store.db", clock=clock)
    await store.open()
    key = await add_run(store, "A")
    clock.commit_us = 50_000
    await store.commit([append(key, 1, 0)])
    assert is_off_loop(store)
    assert not any(thread.name.startswith("aeterna-commit") for thread in threading.enumerate())
    await asyncio.gather(*(store.commit([append(key, first, 0)]) for first in range(2, 12)))
    assert any(thread.name.startswith("aeterna-commit") for thread in threading.enumerate())
    assert await store.commit([append(key, 12, 7)]) == [FencedOff()]
    assert await store.history("A") == [created(), *steps(1, 11)]
    clock.commit_us = 0
    for number in range(40):
        await add_run(store, f"r{number}")
    assert not is_off_loop(store)
    await store.close()


def test_one_slow_commit_decides_nothing_and_the_gap_prevents_switching_to_and_fro() -> None:
    pace = CommitPace()
    seen = []
    for commits, duration_us in ((1, 38_000), (30, 9_000), (30, 3_500), (30, 1_000), (30, 3_500)):
        for _ in range(commits):
            pace.record(duration_us)
        seen.append(pace.off_loop)
    assert seen == [False, True, True, False, False]


async def test_a_cancelled_caller_returns_only_when_the_thread_has_finished() -> None:
    """Otherwise it would give up the lock that protects the connection while the thread still works with it."""
    thread = SideThread("test")
    started, go_on, finished = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        go_on.wait()
        finished.set()
        raise StoreError("nobody hears this")

    task = asyncio.create_task(thread.run(work))
    await asyncio.to_thread(started.wait)
    for _ in range(3):
        task.cancel()
        await asyncio.wait([task], timeout=0)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert finished.is_set()
    thread.close()
