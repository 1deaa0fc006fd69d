"""PostgreSQL crashes and starts again under load: everybody waits, nobody is told anything wrong, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from aeterna.durable.stores.contract import Appended, Created, Notice, NoticeKind
from aeterna.durable.stores.postgres import PostgresStore
from tests.stores.postgres_server import PostgresServer
from tests.stores.samples import append, create, step

RUNS = 12
CRASHES = 3


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of its own, because it is crashed."""
    with PostgresServer() as server:
        yield server


async def test_immediate_restarts_under_load_lose_and_double_nothing(server: PostgresServer) -> None:
    store = PostgresStore(server.url)
    await store.open()
    session = await store.open_session(1, "host", 1, lease_us=10**12)
    is_over = asyncio.Event()
    lengths: dict[str, int] = {}

    async def load(number: int) -> None:
        run_id = f"r{number}"
        (made,) = await store.commit([create(run_id, session)])
        assert isinstance(made, Created), made
        lengths[run_id] = 1
        while not is_over.is_set():
            first = lengths[run_id]
            child = create(f"{run_id}/{first}", session)
            outcomes = await store.commit([append(made.key, first), child])
            assert (outcomes[0], type(outcomes[1])) == (Appended(), Created), outcomes
            lengths[run_id] = first + 1

    async def crash() -> None:
        for _ in range(CRASHES):
            before = sum(lengths.values())
            while sum(lengths.values()) < before + 10 * RUNS:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.crash_and_restart)
        is_over.set()

    async with asyncio.TaskGroup() as group:
        for number in range(RUNS):
            group.create_task(load(number))
        group.create_task(crash())
    for run_id, length in lengths.items():
        assert (await store.history(run_id))[1:] == [step(number) for number in range(1, length)]
    assert sum((await store.count_runs()).values()) == sum(lengths.values())
    await store.close()


async def test_notices_come_again_after_a_restart(server: PostgresServer) -> None:
    teller, listener = PostgresStore(server.url), PostgresStore(server.url)
    heard: asyncio.Queue[Notice] = asyncio.Queue()
    listener.watch(heard.put_nowait)
    await teller.open()
    await listener.open()
    await asyncio.to_thread(server.crash_and_restart)
    assert await asyncio.wait_for(heard.get(), 20) == Notice(NoticeKind.RUNS), "something may have been missed"
    ended = Notice(NoticeKind.ENDED, "r")

    async def tell() -> None:
        while True:
            teller.notify([ended])
            await asyncio.sleep(0.05)

    task = asyncio.create_task(tell())
    while await asyncio.wait_for(heard.get(), 20) != ended:
        pass
    task.cancel()
    await teller.close()
    await listener.close()
