"""A namespace without workers: a store, a clock that stands still, and what was announced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import Payload
from aeterna.durable.core.schedule import ScheduleSpec
from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.alone import AloneWorld
from aeterna.durable.stores.contract import Append, FullStore, Head, Notice, RunQuery, RunRow
from aeterna.durable.stores.memory import MemoryStore
from aeterna.testing import FakeClock

MINUTE = 60_000_000
HOUR = 60 * MINUTE


class TestDesk(AloneWorld):
    """See `AloneWorld`; ``notices`` holds what was announced."""

    __test__ = False

    def __init__(self, store: FullStore, clock: FakeClock, session: int) -> None:
        super().__init__(store, clock, session)
        self.wall = clock
        self.notices: list[Notice] = []

    def announce(self, *notices: Notice) -> None:
        """Remember them."""
        self.notices += notices

    async def runs(self) -> list[RunRow]:
        """All runs, oldest first."""
        page = await self.store.list_runs(RunQuery())
        return list(reversed(page.rows))

    async def run(self, run_id: str) -> RunRow:
        """One run that is there."""
        row = await self.store.get_run(run_id)
        assert row is not None, run_id
        return row

    async def begin(self, run_id: str) -> RunRow:
        """A worker takes a run and begins it."""
        row = await self.store.claim_run(self.session, run_id)
        assert row is not None, run_id
        now_us = self.clock.now_us()
        begun = (ev.RunStarted(now_us, self.session),)
        await self.store.commit(
            [Append(row.key, row.epoch, row.length, begun, now_us, Head(State.RUNNING, Detail.LEASED))]
        )
        return await self.run(run_id)

    async def finish(self, run_id: str) -> None:
        """A run begins, if it has not, and completes."""
        row = await self.run(run_id)
        await self.finish_claimed(await self.begin(run_id) if row.state is State.PENDING else row)

    async def finish_claimed(self, row: RunRow) -> None:
        """A run that this session has begins, if it has not, and completes."""
        now_us = self.clock.now_us()
        events: list[ev.AnyEvent] = [] if row.state is State.RUNNING else [ev.RunStarted(now_us, self.session)]
        ended = (*events, ev.RunCompleted(now_us, Payload(b"jnull")))
        head = Head(State.COMPLETED, Detail.NONE)
        await self.store.commit([Append(row.key, row.epoch, row.length, ended, now_us, head)])


@asynccontextmanager
async def desk(store: FullStore | None = None, clock: FakeClock | None = None) -> AsyncIterator[TestDesk]:
    """A desk whose store is open."""
    store, clock = store or MemoryStore(), clock or FakeClock()
    await store.open()
    try:
        yield TestDesk(store, clock, await store.open_session(clock.now_us(), "here", 1))
    finally:
        await store.close()


def spec(**fields: object) -> ScheduleSpec:
    """A spec that fires every hour, with some fields changed."""
    plain = ScheduleSpec(workflow="report", arguments=Payload(b"j[[],{}]"), every_us=HOUR)
    return msgspec.structs.replace(plain, **fields)
