"""A run can be cancelled whatever it is doing, cleans up, and stays cancelled whatever happens to the process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from aeterna import App, Limits, WorkflowCancelledError
from aeterna.durable.core import events as ev
from aeterna.durable.core.states import State
from aeterna.kernel.errors import InvalidStateError
from tests.crash.execution_log import END, MARK, START, ExecutionLog
from tests.crash.jobs import LONG_S

DEADLINE_S = 20
ROOMY = Limits()


class Ward:
    """An app whose workflows wait in every way there is; ``in_step`` is set when the step that blocks has begun."""

    def __init__(self, directory, limits: Limits) -> None:
        self.log = ExecutionLog(directory / "executions")
        self.app = App("ward", store=f"sqlite:///{directory / 'store.db'}", limits=limits)
        self.in_step = asyncio.Event()
        for workflow in (self.working, self.sleeping, self.parent, self.quick):
            setattr(self, workflow.__name__, self.app.workflow(name=workflow.__name__)(workflow))

    async def working(self, ctx):
        try:
            await ctx.step(self.block, ctx.run_id)
        finally:
            await self.noted(ctx, "cleanup")
            self.log.mark(ctx.run_id, "left")

    async def sleeping(self, ctx):
        await self.noted(ctx, "before")
        try:
            await ctx.sleep(LONG_S)
        finally:
            await self.noted(ctx, "cleanup")

    async def parent(self, ctx):
        try:
            await ctx.child(self.working)
        finally:
            await self.noted(ctx, "cleanup")

    async def quick(self, ctx):
        await self.noted(ctx, "before")
        return 1

    async def block(self, run_id):
        with self.log.executing(run_id, "block"):
            self.in_step.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.log.mark(run_id, "step saw it")
                raise

    def noted(self, ctx, name):
        return ctx.step(name, self.note, ctx.run_id, name)

    async def note(self, run_id, name):
        with self.log.executing(run_id, name):
            pass

    async def history(self, run_id: str) -> list[ev.AnyEvent]:
        return await (await self.app.engine()).store.history(run_id)


@asynccontextmanager
async def opened(directory, limits=ROOMY):
    ward = Ward(directory, limits)
    async with ward.app, asyncio.timeout(DEADLINE_S):
        yield ward


async def has_ended_cancelled(handle) -> bool:
    with pytest.raises(WorkflowCancelledError, match="enough"):
        await handle.result()
    return (await handle.status()).state is State.CANCELLED


async def test_a_step_in_flight_is_cancelled_and_cleanup_steps_run(tmp_path):
    """An async step sees CancelledError; ``finally`` blocks run, with the steps in them, before the run ends."""
    async with opened(tmp_path) as ward:
        handle = await ward.working.start()
        await ward.in_step.wait()
        await handle.cancel("enough")
        assert await has_ended_cancelled(handle)
        assert ward.log.count(MARK, "step saw it") == ward.log.count(MARK, "left") == 1
        assert ward.log.count(END, "cleanup") == 1
        assert ward.log.count(END, "block") == 0


async def test_a_sleeping_run_is_cancelled_at_once(tmp_path):
    """The sleep is given up, and the cleanup runs."""
    async with opened(tmp_path) as ward:
        handle = await ward.sleeping.start()
        while (await handle.status()).detail != "sleeping":
            await ward.quick.start_and_wait()
        await handle.cancel("enough")
        assert await has_ended_cancelled(handle)
        assert ward.log.count(END, "cleanup", handle.id) == 1


async def test_the_child_of_a_cancelled_run_is_cancelled_too(tmp_path):
    """Both clean up, and both end CANCELLED."""
    async with opened(tmp_path) as ward:
        handle = await ward.parent.start()
        await ward.in_step.wait()
        await handle.cancel("enough")
        assert await has_ended_cancelled(handle)
        child = ward.app.handle(f"{handle.id}/0:working:1")
        with pytest.raises(WorkflowCancelledError, match="the parent run gave it up"):
            await child.result()
        assert ward.log.count(END, "cleanup", handle.id) == ward.log.count(END, "cleanup", child.id) == 1
        assert ward.log.count(MARK, "step saw it", child.id) == 1


async def test_a_queued_run_is_cancelled_without_ever_starting(tmp_path):
    """It ends at once, and its code never runs."""
    async with opened(tmp_path, Limits(running_runs_max=1)) as ward:
        first = await ward.working.start()
        await ward.in_step.wait()
        queued = await ward.quick.start()
        assert (await queued.status()).state is State.PENDING
        await queued.cancel("enough")
        assert await has_ended_cancelled(queued)
        await first.cancel("enough")
        assert await has_ended_cancelled(first)
        assert ward.log.count(START, "before", queued.id) == 0


async def test_cancelling_twice_is_one_request(tmp_path):
    """The second request changes nothing, its reason neither."""
    async with opened(tmp_path) as ward:
        handle = await ward.working.start()
        await ward.in_step.wait()
        await asyncio.gather(handle.cancel("enough"), handle.cancel("again"))
        assert await has_ended_cancelled(handle)
        assert sum(isinstance(event, ev.CancelRequested) for event in await ward.history(handle.id)) == 1
        assert ward.log.count(START, "cleanup") == 1


async def test_a_finished_run_cannot_be_cancelled(tmp_path):
    """The error names the run and its state, and the result stays."""
    async with opened(tmp_path) as ward:
        handle = await ward.quick.start()
        assert await handle.result() == 1
        with pytest.raises(InvalidStateError, match=f"{handle.id}.*COMPLETED"):
            await handle.cancel("enough")
        assert await handle.result() == 1


async def test_a_run_ends_cancelled_though_its_process_stopped_during_the_cleanup(tmp_path):
    """Asked to cancel and stopped at once: the next process cleans up and ends it, without being asked again."""
    async with opened(tmp_path) as ward:
        handle = await ward.sleeping.start()
        while (await handle.status()).detail != "sleeping":
            await ward.quick.start_and_wait()
        await handle.cancel("enough")
    async with opened(tmp_path) as ward:
        assert await has_ended_cancelled(ward.app.handle(handle.id))
        assert ward.log.count(END, "cleanup", handle.id) == 1
