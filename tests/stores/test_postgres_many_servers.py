"""Several processes serve the same schedules and queues over one PostgreSQL: nothing happens twice."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from aeterna.durable.core.schedule import Overlap
from aeterna.durable.engine.coordinator.schedules import ScheduleService
from aeterna.durable.operations.queues import put_queue
from aeterna.durable.operations.schedules import put_schedule
from aeterna.durable.stores.contract import QueueRow
from aeterna.durable.stores.postgres import PostgresStore
from aeterna.testing import FakeClock
from tests.flow.desk import HOUR, TestDesk, spec

SERVERS = 4
LEASE_US = 1_000 * HOUR


async def opened(stack: AsyncExitStack, url: str, clock: FakeClock) -> list[TestDesk]:
    """So many servers, each with its own connections and its own session."""
    worlds = []
    for number in range(SERVERS):
        store = PostgresStore(url)
        await store.open()
        stack.push_async_callback(store.close)
        session = await store.open_session(clock.now_us(), "host", number, lease_us=LEASE_US)
        worlds.append(TestDesk(store, clock, session))
    return worlds


async def test_servers_that_fire_at_the_same_moment_start_each_run_once(postgres_url: str):
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        worlds = await opened(stack, postgres_url, clock)
        for name in "abc":
            await put_schedule(worlds[0], name, spec(overlap=Overlap.ALLOW_ALL))
        services = [ScheduleService(world) for world in worlds]
        for _ in range(6):
            clock.advance(HOUR)
            await asyncio.gather(*(service.fire_due() for service in services))
            while 0.0 in await asyncio.gather(*(service.fire_due() for service in services)):
                pass
        expected = {f"{name}@2026-01-01T{hour:02}:00:00Z" for name in "abc" for hour in range(1, 7)}
        assert sorted(row.id for row in await worlds[1].runs()) == sorted(expected)


async def test_workers_that_claim_at_the_same_moment_share_the_slots(postgres_url: str):
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        worlds = await opened(stack, postgres_url, clock)
        await put_queue(worlds[0], QueueRow("narrow", concurrency=3))
        await put_schedule(worlds[0], "often", spec(every_us=HOUR // 60, overlap=Overlap.ALLOW_ALL, queue="narrow"))
        clock.advance(HOUR)
        await ScheduleService(worlds[0]).fire_due()
        finished: list[str] = []
        while len(finished) < 60:
            clock.advance(1_000)
            claims = (world.store.claim(world.session, clock.now_us(), 5) for world in worlds)
            taken = [
                (world, row) for world, rows in zip(worlds, await asyncio.gather(*claims), strict=True) for row in rows
            ]
            assert 0 < len(taken) <= 3
            for world, row in taken:
                await world.finish_claimed(row)
                finished.append(row.id)
        assert len(set(finished)) == 60
