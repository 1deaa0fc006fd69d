"""A server that cannot be reached any more says nothing, and its connections stand: its workers find that out."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager

from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.remote.store import RemoteStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreError
from tests.wire.serving import CLOCK, serving
from tests.wire.test_coordinator import Stores
from tests.wire.test_session import run

LEASE_US = 2_000_000


async def pass_on(source, sink, is_whole):
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            await is_whole.wait()
            sink.write(data)


@asynccontextmanager
async def cable(port):
    """A way to that port of this host, and what pulls it out: nothing passes any more, and nobody is told."""
    is_whole, tasks, ends = asyncio.Event(), set(), []
    is_whole.set()

    async def accept(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        ends.extend((writer, far_writer))
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            tasks.add(asyncio.ensure_future(pass_on(source, sink, is_whole)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], is_whole.clear
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in ends:
            writer.transport.abort()
        await sleep(0)


def test_a_worker_goes_on_with_its_session_at_another_server_when_its_own_falls_silent():
    async def scenario():
        stores = Stores(MemoryStore)
        async with serving(stores) as near, serving(stores) as far, cable(far.port) as (port, cut):
            store = RemoteStore("orders", [f"127.0.0.1:{port}", near.address])
            session = await store.open_session(CLOCK.now_us(), "here", 1, lease_us=LEASE_US)
            assert await store.renew_sessions([session], 0) == [session]
            cut()
            renewed = asyncio.ensure_future(renew(store, session))
            async with asyncio.timeout(30):
                assert await renewed == [session]
            assert (await near.desk()).sessions.find(session) is not None
            await store.close()

    run(scenario)


async def renew(store, session):
    while True:
        with contextlib.suppress(StoreError):
            return await store.renew_sessions([session], 0)
        await sleep(0.02)
