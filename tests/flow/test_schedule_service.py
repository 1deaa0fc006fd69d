"""Schedules fire on time, by their overlap policy, and never twice, however many processes serve them."""

from __future__ import annotations

import asyncio

import pytest

from aeterna.durable.core.events import RunStarted
from aeterna.durable.core.schedule import Overlap
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.coordinator.schedules import LOOK_BLOCKED_S, LOOK_S, ScheduleService
from aeterna.durable.operations.schedules import put_schedule
from aeterna.durable.stores.contract import (
    NEVER_US,
    Append,
    Head,
    MessageKind,
    Notice,
    NoticeKind,
    RunRow,
    ScheduleRow,
)
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.testing import FakeClock
from tests.flow.desk import HOUR, MINUTE, TestDesk, desk, spec

FIRST, SECOND, THIRD = (f"hourly@2026-01-01T0{hour}:00:00Z" for hour in (1, 2, 3))


async def started(world: TestDesk) -> list[str]:
    return [row.id for row in await world.runs()]


async def test_a_schedule_fires_when_it_is_due_and_not_before():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(queue="reports", priority=3, share="x", requires=("disk",)))
        assert await service.fire_due() == LOOK_S
        world.wall.advance(HOUR - 500_000)
        assert await service.fire_due() == 0.5
        assert await started(world) == []
        world.wall.advance(500_000)
        assert await service.fire_due() == LOOK_S
        (row,) = await world.runs()
        assert (row.id, row.state, row.detail, row.owner) == (FIRST, State.PENDING, Detail.QUEUED, None)
        assert (row.queue, row.priority, row.share, row.requires) == ("reports", 3, "x", ("disk",))
        assert Notice(NoticeKind.RUNS, "reports") in world.notices
        (schedule,) = await world.store.list_schedules()
        assert (schedule.last_run, schedule.next_us) == (FIRST, world.wall.now_us() + HOUR)


async def test_many_servers_fire_each_time_once():
    store, clock = MemoryStore(), FakeClock()
    async with desk(store, clock) as one:
        others = [TestDesk(store, clock, one.session) for _ in range(4)]
        services = [ScheduleService(world) for world in (one, *others)]
        await put_schedule(one, "hourly", spec(overlap=Overlap.ALLOW_ALL))
        for _ in range(3):
            clock.advance(HOUR)
            await asyncio.gather(*(service.fire_due() for service in services))
        assert await started(one) == [FIRST, SECOND, THIRD]


@pytest.mark.parametrize("overlap", [Overlap.BUFFER_ONE, Overlap.BUFFER_ALL])
async def test_a_buffered_firing_starts_when_the_last_run_has_ended(overlap: Overlap):
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(overlap=overlap))
        world.wall.advance(HOUR)
        await service.fire_due()
        await world.begin(FIRST)
        world.wall.advance(2 * HOUR)
        assert await service.fire_due() == LOOK_BLOCKED_S
        world.wall.advance(MINUTE)
        await world.finish(FIRST)
        await service.fire_due()
        assert await started(world) == [FIRST, SECOND]
        world.wall.advance(MINUTE)
        await world.finish(SECOND)
        await service.fire_due()
        assert await started(world) == [FIRST, SECOND] + [THIRD] * (overlap is Overlap.BUFFER_ALL)


async def test_skip_leaves_out_what_meets_a_running_run():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec())
        world.wall.advance(HOUR)
        await service.fire_due()
        world.wall.advance(HOUR)
        await service.fire_due()
        await world.finish(FIRST)
        world.wall.advance(HOUR)
        await service.fire_due()
        assert await started(world) == [FIRST, THIRD]


async def test_cancel_other_asks_the_running_run_once_and_starts_after_its_end():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(overlap=Overlap.CANCEL_OTHER))
        world.wall.advance(HOUR)
        await service.fire_due()
        await world.begin(FIRST)
        world.wall.advance(HOUR)
        assert await service.fire_due() == LOOK_BLOCKED_S
        await service.fire_due()
        (message,) = await world.store.inbox(FIRST)
        assert message.kind is MessageKind.CANCEL
        assert world.notices.count(Notice(NoticeKind.INBOX, FIRST)) == 1
        await world.finish(FIRST)
        await service.fire_due()
        assert await started(world) == [FIRST, SECOND]


async def test_cancel_other_ends_a_run_that_has_not_begun_at_once():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(overlap=Overlap.CANCEL_OTHER))
        world.wall.advance(HOUR)
        await service.fire_due()
        world.wall.advance(HOUR)
        await service.fire_due()
        await service.fire_due()
        assert (await world.run(FIRST)).state is State.CANCELLED
        assert await started(world) == [FIRST, SECOND]


class BeginsMeanwhile(MemoryStore):
    """A worker begins a run, and lets it go, just after the service has read that nobody has it."""

    race: str | None = None

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        row = await super().get_run(run_id)
        if row is not None and self.race == run_id:
            self.race = None
            session = await self.open_session(1, "worker", 2, lease_us=HOUR)
            claimed = await self.claim_run(session, run_id)
            assert claimed is not None
            head = Head(State.RUNNING, Detail.SLEEPING, wake_us=NEVER_US, release=True, note="x")
            await self.commit([Append(claimed.key, claimed.epoch, 1, (RunStarted(1, session),), 1, head)])
        return row


async def test_cancel_other_asks_a_run_that_begins_meanwhile():
    store = BeginsMeanwhile()
    async with desk(store) as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(overlap=Overlap.CANCEL_OTHER))
        world.wall.advance(HOUR)
        await service.fire_due()
        world.wall.advance(HOUR)
        store.race = FIRST
        assert await service.fire_due() == LOOK_BLOCKED_S
        row = await world.run(FIRST)
        assert (row.state, row.owner) == (State.RUNNING, None)
        assert [message.kind for message in await store.inbox(FIRST)] == [MessageKind.CANCEL]


async def test_a_schedule_that_another_process_fired_just_before_is_read_again():
    store = MemoryStore()
    async with desk(store) as world:
        await put_schedule(world, "hourly", spec(overlap=Overlap.ALLOW_ALL))
        stale = await store.list_schedules()
        world.wall.advance(HOUR)
        service = ScheduleService(world)
        await service.fire_due()
        turn = await service._serve_row(stale[0])
        assert turn.is_behind
        assert await started(world) == [FIRST]


async def test_terminate_other_ends_the_running_run_and_starts_at_once():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(overlap=Overlap.TERMINATE_OTHER))
        world.wall.advance(HOUR)
        await service.fire_due()
        begun = await world.begin(FIRST)
        world.wall.advance(2 * HOUR)
        await service.fire_due()
        ended = await world.run(FIRST)
        assert (ended.state, ended.epoch) == (State.CANCELLED, begun.epoch + 1)
        assert await started(world) == [FIRST, THIRD]
        assert Notice(NoticeKind.ENDED, FIRST) in world.notices


async def test_what_was_missed_is_caught_up_on_within_the_window():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(overlap=Overlap.ALLOW_ALL, catch_up_us=2 * HOUR))
        world.wall.advance(5 * HOUR + MINUTE)
        await service.fire_due()
        assert await started(world) == [f"hourly@2026-01-01T0{hour}:00:00Z" for hour in (4, 5)]


async def test_a_paused_schedule_does_not_fire():
    async with desk() as world:
        await put_schedule(world, "hourly", spec(), is_paused=True)
        world.wall.advance(HOUR)
        assert await ScheduleService(world).fire_due() is None
        assert await started(world) == []


async def test_a_long_backlog_gives_other_schedules_their_turn():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "a", spec(every_us=MINUTE, overlap=Overlap.ALLOW_ALL))
        await put_schedule(world, "b", spec(overlap=Overlap.ALLOW_ALL))
        world.wall.advance(4 * HOUR)
        assert await service.fire_due() == 0.0
        assert {row.id.partition("@")[0] for row in await world.runs()} == {"a", "b"}
        while await service.fire_due() == 0.0:
            pass
        (a, b) = await world.store.list_schedules()
        assert (a.last_run, b.last_run) == ("a@2026-01-01T04:00:00Z", "b@2026-01-01T04:00:00Z")


@pytest.mark.parametrize("text", ["{}", "nonsense", '{"workflow": "w", "arguments": "", "cron": ["61 * * * *"]}'])
async def test_a_schedule_that_cannot_be_read_is_left_alone_and_told_of_once(
    text: str, caplog: pytest.LogCaptureFixture
):
    async with desk() as world:
        service = ScheduleService(world)
        await world.store.put_schedule(ScheduleRow("broken", text, world.wall.now_us()))
        await put_schedule(world, "hourly", spec())
        world.wall.advance(HOUR)
        assert await service.fire_due() == LOOK_S
        assert await service.fire_due() == LOOK_S
        assert await started(world) == [FIRST]
        assert [record.action for record in caplog.records].count("schedule_broken") == 1
        await put_schedule(world, "broken", spec())
        world.wall.advance(HOUR)
        await service.fire_due()
        assert len([run for run in await started(world) if run.startswith("broken@")]) == 1


async def test_a_schedule_that_ends_fires_no_more():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(end_us=world.wall.now_us() + HOUR))
        world.wall.advance(10 * HOUR)
        await service.fire_due()
        assert await started(world) == [FIRST]
        assert await service.fire_due() is None
        assert len(await world.store.list_schedules()) == 1


async def test_a_notice_wakes_the_service():
    async with desk() as world:
        service = ScheduleService(world)
        serving = asyncio.create_task(service.serve())
        try:
            await sleep(0)
            await put_schedule(world, "hourly", spec(overlap=Overlap.BUFFER_ALL))
            world.wall.advance(HOUR)
            service.on_notice(Notice(NoticeKind.SCHEDULES, "hourly"))
            await until(lambda: len(world.notices) == 2)
            await world.begin(FIRST)
            world.wall.advance(HOUR)
            service.on_notice(Notice(NoticeKind.SCHEDULES, "hourly"))
            await until(lambda: FIRST in service._awaited)
            await world.finish(FIRST)
            service.on_notice(Notice(NoticeKind.ENDED, "another"))
            service.on_notice(Notice(NoticeKind.ENDED, FIRST))
            await until(lambda: len(world.notices) == 3)
            assert await started(world) == [FIRST, SECOND]
        finally:
            serving.cancel()


async def until(condition: object) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await sleep(0)


async def test_a_store_in_trouble_is_asked_again(caplog: pytest.LogCaptureFixture):
    store, clock = MemoryStore(), FakeClock()
    async with desk(store, clock) as world:
        service = ScheduleService(world)
        await store.close()
        serving = asyncio.create_task(service.serve())
        try:
            await until(lambda: any(getattr(record, "action", "") == "schedules" for record in caplog.records))
            await store.open()
            await put_schedule(world, "hourly", spec())
            clock.advance(HOUR)
            service.on_notice(Notice(NoticeKind.SCHEDULES, "hourly"))
            await until(lambda: len(world.notices) == 2)
        finally:
            serving.cancel()
        assert await started(world) == [FIRST]
