"""What every store promises to forget: sessions that ended long ago, and shares that count nothing any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.retention import FORGET_AFTER_US, serve_retention
from aeterna.durable.stores.contract import Head, Store
from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.testing import FakeClock, FaultyStore, StoreCall
from aeterna.testing.faults import Moment
from tests.stores.samples import add_run, append, create, finish, ids


async def test_sessions_that_ended_before_a_time_are_forgotten_and_their_numbers_stay_used(store: Store) -> None:
    await store.open()
    numbers = [await store.open_session(1, "host", 1, lease_us=1_000) for _ in range(4)]
    for at_us, number in zip((50, 20, 90), numbers, strict=False):
        await store.close_session(number, at_us)
    assert await store.forget(20, 9) == 0
    assert await store.forget(90, 1) == 1
    assert await store.forget(90, 9) == 1
    assert await store.forget(91, 0) == 0
    assert await store.forget(91, 9) == 1
    assert await store.forget(10_000, 9) == 0
    assert [row.number for row in await store.list_sessions()] == numbers[3:]
    assert await store.open_session(1, "host", 1, lease_us=1_000) not in numbers
    await store.close()


async def test_a_share_is_forgotten_once_none_of_its_runs_is_unfinished(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 1, lease_us=10_000)
    writes = [create(run_id, queue="q", share=share) for run_id, share in (("A", "a"), ("B", "b"), ("C", "c"))]
    await store.commit(writes)
    rows = {row.id: row for row in await store.claim(session, 100, 3)}
    assert set(rows) == {"A", "B", "C"}
    for run_id in ("A", "B"):
        await store.commit([finish(rows[run_id].key, 1)])
    assert await store.forget(100, 9) == 0
    assert await store.forget(101, 9) == 2
    assert await store.forget(101, 9) == 0
    # Whose turn was forgotten comes before whose turn is remembered.
    await store.commit([create("C2", queue="q", share="c"), create("A2", queue="q", share="a")])
    assert ids(await store.claim(session, 200, 1)) == ["A2"]
    await store.close()


async def test_a_run_that_waits_keeps_its_share(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 1, lease_us=10_000)
    await store.commit([create("A", queue="q", share="a")])
    (row,) = await store.claim(session, 100, 1)
    head = Head(State.RUNNING, Detail.SLEEPING, 9_000, release=True)
    await store.commit([append(row.key, 1, head=head)])
    assert await store.forget(5_000, 9) == 0
    await store.close()


async def test_retention_forgets_also_where_every_run_is_kept(tmp_path: Path) -> None:
    forgot = asyncio.Event()

    async def note(call: StoreCall) -> None:
        if (call.method, call.moment) == ("forget", Moment.AFTER):
            forgot.set()

    store = FaultyStore(SqliteStore(tmp_path / "store.db"), note)
    clock = FakeClock()
    await store.open()
    now_us = clock.now_us()
    for at_us in (now_us - FORGET_AFTER_US - 1, now_us - FORGET_AFTER_US + 1):
        await store.close_session(await store.open_session(at_us, "host", 1, lease_us=1_000), at_us)
    await add_run(store, "A")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        retention = tasks.create_task(serve_retention(store, clock, EngineOptions()))
        await forgot.wait()
        retention.cancel()
    assert await store.forget(now_us, 9) == 1
    assert await store.get_run("A") is not None
    await store.close()
