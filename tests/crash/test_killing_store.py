"""The crash injection itself: it crashes where it says, and changes nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Append, Appended, FencedOff, Head
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.testing.crash import Counted, CrashPoint, KillingStore
from aeterna.testing.faults import Moment, SimulatedCrash
from tests.stores.samples import add_run, create, steps


def survive() -> None:
    """A crash that raises instead of killing."""


async def opened(kill_at: CrashPoint | None = None, *, split: bool = False) -> KillingStore:
    store = KillingStore(MemoryStore(), kill_at, crash=survive, split=split)
    await store.open()
    return store


async def test_a_crash_before_a_commit_leaves_no_trace_of_it(tmp_path):
    """And the store is dead for the caller afterwards."""
    store = await opened(CrashPoint(2, Moment.BEFORE))
    await add_run(store, "A")
    with pytest.raises(SimulatedCrash):
        await add_run(store, "B")
    with pytest.raises(SimulatedCrash):
        await store.get_run("A")
    assert [run_id for run_id in ("A", "B") if await store.inner.get_run(run_id)] == ["A"]


async def test_a_crash_after_a_commit_leaves_all_of_it(tmp_path):
    """Committed, and nobody told."""
    store = await opened(CrashPoint(2, Moment.AFTER))
    await add_run(store, "A")
    with pytest.raises(SimulatedCrash):
        await store.commit([create("B"), create("C")])
    assert [run_id for run_id in "ABC" if await store.inner.get_run(run_id)] == ["A", "B", "C"]


async def test_writes_count_sessions_and_claims_and_commits_do_not():
    """Reading counts as neither, nor does a commit of nothing."""
    store = await opened()
    session = await store.open_session(1, "host", 1)
    await add_run(store, "A")
    await store.claim(session, 2, 10)
    await store.history("A")
    await store.next_wake()
    assert await store.commit([]) == []
    assert (store.commits, store.writes) == (1, 3)


async def test_writes_are_crash_points_too():
    """Here: after a claim, which has taken the run with it."""
    store = await opened(CrashPoint(3, Moment.AFTER, Counted.WRITES))
    session = await store.open_session(1, "host", 1)
    await add_run(store, "A")
    with pytest.raises(SimulatedCrash):
        await store.claim(session, 2, 10)
    row = await store.inner.get_run("A")
    assert row is not None
    assert row.owner == session


@pytest.mark.parametrize(("moment", "kept"), [(Moment.BEFORE, ["A"]), (Moment.AFTER, ["A", "B"])])
async def test_a_commit_at_once_crashes_on_either_side_too(moment, kept):
    """Synchronously; afterwards it leaves the news to `commit`."""
    store = await opened(CrashPoint(2, moment))
    assert store.commit_at_once([create("A")]) is not None
    with pytest.raises(SimulatedCrash):
        store.commit_at_once([create("B")])
    assert [run_id for run_id in ("A", "B") if await store.inner.get_run(run_id)] == kept
    assert store.commit_at_once([create("C")]) is None
    with pytest.raises(SimulatedCrash):
        await store.commit([create("C")])


async def test_a_commit_that_cannot_be_at_once_is_counted_once(tmp_path):
    """The inner store leaves it to `commit` while something else is being written."""
    inner = SqliteStore(tmp_path / "store.db")
    store = KillingStore(inner, crash=survive)
    await store.open()
    assert inner._file._opened is not None
    async with inner._file._opened.writing:
        assert store.commit_at_once([create("A")]) is None
    await store.commit([create("A")])
    assert store.commit_at_once([create("B")]) is not None
    assert store.commits == 2
    await store.close()


async def test_a_split_commit_is_one_commit_per_event():
    """A changed head goes with the last of them, and the outcomes are those of the whole."""
    head = Head(State.RUNNING, Detail.LEASED)
    store = await opened(split=True)
    key = await add_run(store, "A")
    assert await store.commit([Append(key, 0, 1, steps(1, 3), 300, head)]) == [Appended()]
    assert store.commits == 4
    assert len(await store.history("A")) == 4
    row = await store.get_run("A")
    assert row is not None
    assert row.state is State.RUNNING


async def test_a_split_commit_that_is_fenced_off_stops_there():
    """Nothing of it is written."""
    store = await opened(split=True)
    key = await add_run(store, "A")
    assert await store.commit([Append(key, 7, 1, steps(1, 3), 300)]) == [FencedOff()]
    assert len(await store.history("A")) == 1


async def test_a_crash_inside_a_split_commit_leaves_its_first_events():
    """Stricter than a store, whose commit is all or nothing."""
    store = await opened(CrashPoint(3, Moment.AFTER), split=True)
    key = await add_run(store, "A")
    with pytest.raises(SimulatedCrash):
        await store.commit([Append(key, 0, 1, steps(1, 3), 300, Head(State.RUNNING, Detail.LEASED))])
    assert len(await store.inner.history("A")) == 3
    row = await store.inner.get_run("A")
    assert row is not None
    assert row.state is State.PENDING


def test_killing_is_sigkill():
    """No exit handler runs, no output comes."""
    program = "import atexit; from aeterna.testing.crash import *; atexit.register(print, 'x'); kill_process()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")
