"""A process that is forked while the store is open, as process pools do, must neither keep the store nor harm it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.kernel.errors import StoreLockedError
from tests.stores.samples import add_run, append, created, steps
from tests.stores.writer_process import ROOT, RUNS, wait_acknowledged, writing


@contextmanager
def forking(path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that has the store at ``path``, and the pid of its child, which lives on when the process is killed."""
    command = [sys.executable, "-m", "tests.stores.forking_process", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        try:
            assert b"belongs to the process that opened it" in parent.stdout.readline()
            yield parent, int(parent.stdout.readline())
        finally:
            parent.kill()


def end_orphan(parent: subprocess.Popen[bytes]) -> None:
    """Let the child of the killed process end, and return when it has."""
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.close()
    assert parent.stdout.read() == b""


async def test_a_child_that_outlives_a_killed_parent_does_not_keep_the_store(tmp_path: Path) -> None:
    """While the parent lives it alone has the store; after SIGKILL the next one has it, whatever the orphan does."""
    store = SqliteStore(tmp_path / "store.db")
    with forking(store.path) as (parent, orphan):
        with pytest.raises(StoreLockedError, match=f"pid {parent.pid} "):
            await store.open()
        parent.kill()
        parent.wait()
        await store.open()
        os.kill(orphan, 0)
        row = await store.get_run("forked")
        assert row is not None
        await store.commit([append(row.key, 2, 0)])
        end_orphan(parent)
    await store.commit([append(row.key, 3, 0)])
    assert await store.history("forked") == [created(), *steps(1, 3)]
    assert await store.check() == []
    await store.close()


async def test_an_orphan_that_ends_takes_nothing_away_from_those_after_its_parent(tmp_path: Path) -> None:
    """The worst moment: the store was closed and opened since, so its log is another than the orphan's, and killed, so
    what that log holds is nowhere else and nobody locks it."""
    store = SqliteStore(tmp_path / "store.db")
    with forking(store.path) as (parent, _):
        parent.kill()
        parent.wait()
        await store.open()
        await store.close()
        with writing(store.path) as process:
            wait_acknowledged(process, 20)
            process.kill()
            process.wait()
        end_orphan(parent)
    await store.open()
    assert all([len(await store.history(run_id)) > 20 for run_id in RUNS])
    assert await store.check() == []
    await store.close()


async def test_a_child_that_ends_leaves_the_lock_with_its_parent(tmp_path: Path) -> None:
    store, other = SqliteStore(tmp_path / "store.db"), SqliteStore(tmp_path / "store.db")
    await store.open()
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert await asyncio.to_thread(os.waitpid, child, 0) == (child, 0)
    with pytest.raises(StoreLockedError):
        await other.open()
    await add_run(store, "A")
    await store.close()
    await other.open()
    await other.close()
