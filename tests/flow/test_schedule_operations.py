"""Schedules: put, change, pause, trigger, backfill."""

from __future__ import annotations

import msgspec
import pytest

from aeterna.durable.core.schedule import Overlap, ScheduleSpec
from aeterna.durable.engine.coordinator.schedules import ScheduleService
from aeterna.durable.operations.schedules import (
    BACKFILL_MAX,
    backfill_schedule,
    delete_schedule,
    get_schedule,
    list_schedules,
    pause_schedule,
    put_schedule,
    resume_schedule,
    trigger_schedule,
    update_schedule,
)
from aeterna.durable.stores.contract import FencedOff, FireSchedule, Notice, NoticeKind, Outcome, Write
from aeterna.kernel.errors import ConfigurationError, InvalidStateError, LimitExceededError, UsageError
from aeterna.testing.clock import START_US
from tests.flow.desk import HOUR, MINUTE, TestDesk, desk, spec


async def ids(world: TestDesk) -> list[str]:
    return [row.id for row in await world.runs()]


async def test_a_schedule_that_was_put_shows_its_next_times():
    async with desk() as world:
        shown = await put_schedule(world, "hourly", spec())
        assert shown.coming_us == (START_US + HOUR,)
        assert world.notices == [Notice(NoticeKind.SCHEDULES, "hourly")]
        shown = await get_schedule(world, "hourly", coming=3)
        assert shown.coming_us == tuple(START_US + n * HOUR for n in (1, 2, 3))
        assert (await list_schedules(world))[0].spec == spec()
        with pytest.raises(UsageError, match="there is no schedule 'x'"):
            await get_schedule(world, "x")


async def test_to_put_the_same_again_does_not_lose_what_was_missed():
    async with desk() as world:
        await put_schedule(world, "hourly", spec())
        world.wall.advance(90 * MINUTE)
        shown = await put_schedule(world, "hourly", spec())
        assert shown.row.next_us == START_US + HOUR
        changed = await put_schedule(world, "hourly", spec(note="x"))
        assert changed.row.next_us == START_US + 2 * HOUR


async def test_a_change_keeps_the_pause_and_the_last_run():
    async with desk() as world:
        await put_schedule(world, "hourly", spec())
        run = await trigger_schedule(world, "hourly")
        await pause_schedule(world, "hourly")

        def slower(old: ScheduleSpec) -> ScheduleSpec:
            return msgspec.structs.replace(old, every_us=2 * HOUR)

        shown = await update_schedule(world, "hourly", slower)
        assert (shown.row.is_paused, shown.row.last_run) == (True, run)
        assert shown.spec == spec(every_us=2 * HOUR)


async def test_a_schedule_that_never_fires_is_refused_and_one_that_is_over_is_not():
    async with desk() as world:
        with pytest.raises(ConfigurationError, match="it would never fire"):
            await put_schedule(world, "hourly", spec(start_us=START_US + 1, end_us=START_US + 2))
        over = await put_schedule(world, "hourly", spec(end_us=START_US))
        assert over.coming_us == ()
        assert over.row.next_us is None


async def test_resuming_leaves_out_what_the_pause_left_out():
    async with desk() as world:
        await put_schedule(world, "hourly", spec(overlap=Overlap.ALLOW_ALL))
        await pause_schedule(world, "hourly")
        world.wall.advance(5 * HOUR + MINUTE)
        await resume_schedule(world, "hourly")
        await ScheduleService(world).fire_due()
        assert await ids(world) == []
        assert (await get_schedule(world, "hourly")).row.next_us == START_US + 6 * HOUR


async def test_deleting_leaves_the_runs():
    async with desk() as world:
        await put_schedule(world, "hourly", spec())
        run = await trigger_schedule(world, "hourly")
        assert await delete_schedule(world, "hourly")
        assert not await delete_schedule(world, "hourly")
        assert await ids(world) == [run]


async def test_a_trigger_starts_a_run_now_and_counts_as_the_last_one():
    async with desk() as world:
        await put_schedule(world, "hourly", spec(), is_paused=True)
        world.wall.advance(MINUTE)
        run = await trigger_schedule(world, "hourly")
        assert run == "hourly@2026-01-01T00:01:00Z"
        assert await trigger_schedule(world, "hourly", now_us=world.wall.now_us()) == run
        row = (await get_schedule(world, "hourly")).row
        assert (row.last_run, row.next_us, row.is_paused) == (run, START_US + HOUR, True)


async def test_a_schedule_that_is_over_can_still_be_triggered():
    async with desk() as world:
        await put_schedule(world, "hourly", spec(end_us=START_US + HOUR))
        world.wall.advance(HOUR)
        service = ScheduleService(world)
        await service.fire_due()
        shown = await get_schedule(world, "hourly")
        assert (shown.row.next_us, shown.coming_us) == (None, ())
        world.wall.advance(MINUTE)
        assert await trigger_schedule(world, "hourly") == "hourly@2026-01-01T01:01:00Z"


class Contested(TestDesk):
    """Others change the schedule so many times, each time before this process does."""

    losses = 0

    async def commit(self, write: Write) -> Outcome:
        if self.losses and isinstance(write, FireSchedule):
            self.losses -= 1
            return FencedOff()
        return await super().commit(write)


async def test_a_trigger_that_meets_a_firing_tries_again():
    async with desk() as world:
        contested = Contested(world.store, world.wall, world.session)
        await put_schedule(contested, "hourly", spec())
        contested.losses = 3
        assert await trigger_schedule(contested, "hourly") == "hourly@2026-01-01T00:00:00Z"
        contested.losses = 100
        with pytest.raises(InvalidStateError, match="changed 10 times"):
            await trigger_schedule(contested, "hourly")


async def test_a_backfill_starts_past_times_one_after_the_other_and_goes_away():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(jitter_us=MINUTE))
        world.wall.advance(5 * HOUR)
        await pause_schedule(world, "hourly")
        name = await backfill_schedule(world, "hourly", START_US + HOUR, START_US + 3 * HOUR)
        assert name == "hourly~2026-01-01T01:00:00Z~2026-01-01T03:00:00Z"
        for hour in (1, 2, 3):
            await service.fire_due()
            run = f"hourly@2026-01-01T0{hour}:00:00Z"
            assert (await ids(world))[-1] == run
            world.wall.advance(2 * 24 * HOUR)
            await world.finish(run)
        await service.fire_due()
        assert [shown.row.id for shown in await list_schedules(world)] == ["hourly"]


async def test_a_backfill_at_once_starts_no_run_again():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec())
        world.wall.advance(HOUR)
        await service.fire_due()
        world.wall.advance(2 * HOUR)
        await pause_schedule(world, "hourly")
        await backfill_schedule(world, "hourly", START_US + HOUR, START_US + 2 * HOUR, Overlap.ALLOW_ALL)
        await service.fire_due()
        assert await ids(world) == ["hourly@2026-01-01T01:00:00Z", "hourly@2026-01-01T02:00:00Z"]


async def test_a_backfill_that_is_paused_goes_on_where_it_was():
    async with desk() as world:
        service = ScheduleService(world)
        await put_schedule(world, "hourly", spec(), is_paused=True)
        world.wall.advance(5 * HOUR)
        name = await backfill_schedule(world, "hourly", START_US + HOUR, START_US + 3 * HOUR)
        await pause_schedule(world, name)
        assert await service.fire_due() is None
        await resume_schedule(world, name)
        await service.fire_due()
        assert await ids(world) == ["hourly@2026-01-01T01:00:00Z"]


async def test_a_backfill_has_a_limit_that_its_refusal_names():
    async with desk() as world:
        await put_schedule(world, "often", spec(every_us=MINUTE))
        world.wall.advance(BACKFILL_MAX * MINUTE)
        end_us = START_US + BACKFILL_MAX * MINUTE
        with pytest.raises(LimitExceededError, match=r"at most 10,000 runs.* may end before 2026-01-07T22:40:00Z"):
            await backfill_schedule(world, "often", START_US, end_us)
        assert [shown.row.id for shown in await list_schedules(world)] == ["often"]
        await backfill_schedule(world, "often", START_US, end_us - 1)


async def test_backfills_that_mean_nothing_are_refused():
    async with desk() as world:
        await put_schedule(world, "hourly", spec())
        world.wall.advance(HOUR)
        with pytest.raises(UsageError, match="which would leave out runs"):
            await backfill_schedule(world, "hourly", START_US, START_US + HOUR, Overlap.SKIP)
        with pytest.raises(UsageError, match="which has not come"):
            await backfill_schedule(world, "hourly", START_US, START_US + 2 * HOUR)
        with pytest.raises(UsageError, match="has no time from"):
            await backfill_schedule(world, "hourly", START_US + 1, START_US + 2)
