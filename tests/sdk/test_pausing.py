"""Pausing, resuming, terminating and forking."""

from __future__ import annotations

import asyncio

import pytest

from aeterna import App, Context, WorkflowCancelledError
from aeterna.durable.core import events as ev
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import InvalidStateError, UsageError
from aeterna.kernel.limits import Limits
from aeterna.testing import Environment

app = App("pausing", store="memory:", limits=Limits(resident_runs_max=1, running_runs_max=2))
executed: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_executed_yet() -> None:
    executed.clear()


@app.step
async def part(name: str) -> str:
    executed.append(name)
    await sleep(10)
    return name


@app.workflow
async def job(ctx: Context, name: str) -> list[str]:
    return [await part(f"{name}-{number}") for number in range(3)]


@app.workflow
async def careful(ctx: Context) -> str:
    try:
        await ctx.sleep(3600)
    except asyncio.CancelledError:
        await part("clean up")
        raise
    return "slept"


@app.workflow
async def drawing(ctx: Context) -> list[str]:
    first = await part(str(ctx.uuid()))
    second = await part(f"{first}-{ctx.random().random()}")
    return [first, second, await ctx.wait_signal("go")]


@pytest.mark.parametrize("crashes", [False, True])
def test_a_paused_run_ends_its_step_and_begins_no_other(*, crashes: bool) -> None:
    async def scenario(env: Environment) -> None:
        run = await job.start("a")
        await env.sleep(5)
        await run.pause("later")
        if crashes:
            await env.crash()
            await app.engine()
        await env.sleep(100)
        assert (await run.status()).detail == "paused"
        assert executed == ["a-0"]
        await run.resume()
        assert await run.result() == ["a-0", "a-1", "a-2"]
        kinds = [type(event) for event in await env.store.history(run.id)]
        assert (kinds.count(ev.RunPaused), kinds.count(ev.RunResumed)) == (1, 1)

    Environment().run(app, scenario)


def test_a_run_can_be_paused_before_it_begins() -> None:
    async def scenario(env: Environment) -> None:
        first, second = await job.start("a"), await job.start("b")
        third = await job.start("c")
        assert (await third.status()).detail == "queued"
        await third.pause()
        await asyncio.gather(first.result(), second.result())
        await env.sleep(60)
        assert ((await third.status()).state, (await third.status()).detail) == ("PENDING", "paused")
        await third.resume()
        assert await third.result() == ["c-0", "c-1", "c-2"]

    Environment().run(app, scenario)


def test_pausing_twice_and_resuming_what_runs_changes_nothing() -> None:
    async def scenario(env: Environment) -> None:
        run = await careful.start()
        await run.resume()
        await run.pause()
        await run.pause()
        await env.sleep(1)
        await run.resume()
        assert await run.result() == "slept"
        kinds = [type(event) for event in await env.store.history(run.id)]
        assert (kinds.count(ev.RunPaused), kinds.count(ev.RunResumed)) == (1, 1)
        with pytest.raises(InvalidStateError):
            await run.pause()

    Environment().run(app, scenario)


def test_a_timer_that_is_due_while_the_run_is_paused_is_seen_afterwards() -> None:
    async def scenario(env: Environment) -> None:
        run = await careful.start()
        await run.pause()
        await env.sleep(7200)
        assert (await run.status()).detail == "paused"
        await run.resume()
        assert await run.result(timeout=1) == "slept"

    Environment().run(app, scenario)


def test_a_cancellation_outdoes_a_pause_and_may_be_cleaned_up_after() -> None:
    async def scenario(env: Environment) -> None:
        run = await careful.start()
        await run.pause()
        await env.sleep(1)
        await run.cancel("enough")
        with pytest.raises(WorkflowCancelledError, match="enough"):
            await run.result()
        assert executed == ["clean up"]

    Environment().run(app, scenario)


def test_a_terminated_run_ends_at_once_and_nothing_is_cleaned_up() -> None:
    async def scenario(env: Environment) -> None:
        run = await careful.start()
        await env.sleep(1)
        await run.terminate("no time")
        with pytest.raises(WorkflowCancelledError, match="terminated: no time"):
            await run.result(timeout=5)
        await env.sleep(7200)
        assert executed == []
        assert not (await app.engine()).is_resident(run.id)

    Environment().run(app, scenario)


def test_a_fork_keeps_what_came_before_and_decides_anew_what_comes_after() -> None:
    """It draws what the first run drew, so that its history fits."""

    async def scenario(env: Environment) -> None:
        run = await drawing.start()
        await env.sleep(60)
        await run.signal("go", "there")
        first = await run.result()
        history = await env.store.history(run.id)
        second_step = [number for number, event in enumerate(history) if isinstance(event, ev.StepCompleted)][1]
        executed.clear()
        forked = await run.fork(second_step)
        assert forked.id != run.id
        await env.sleep(60)
        await forked.signal("go", "elsewhere")
        assert await forked.result() == [*first[:2], "elsewhere"]
        assert executed == [first[1]]

    Environment().run(app, scenario)


@app.step
async def stamped(moment: str) -> str:
    executed.append(moment)
    return moment


@app.workflow
async def timed(ctx: Context) -> str:
    before = ctx.now().isoformat()
    await part("one")
    await stamped(before)
    return before


def test_a_fork_from_a_step_executes_it_again_and_knows_when_it_was_made_itself() -> None:
    """What the code saw of the time is as it was, so that the history fits; the row tells of the fork."""

    async def scenario(env: Environment) -> None:
        run = await timed.start()
        first = await run.result()
        original = await run.status()
        await env.sleep(3600)
        executed.clear()
        forked = await run.fork(from_step="stamped")
        assert await forked.result() == first
        assert executed == [first]
        row = await forked.status()
        assert row.created_us >= original.created_us + 3600 * 1_000_000
        assert row.updated_us >= row.created_us

    Environment().run(app, scenario)


def test_a_fork_names_the_one_place_that_it_begins_at() -> None:
    async def scenario(env: Environment) -> None:
        run = await job.start("a")
        await run.result()
        executed.clear()
        await (await run.fork(from_step="part", occurrence=3)).result()
        assert executed == ["a-2"]
        await (await run.fork(step=4)).result()
        assert executed == ["a-2", "a-2"], "the earlier name of the position"
        with pytest.raises(UsageError, match="recorded 3 of step 'part', there is no number 4"):
            await run.fork(from_step="part", occurrence=4)
        with pytest.raises(UsageError, match="no step 'prt'; there are 'part'"):
            await run.fork(from_step="prt")
        for position, step in ((None, None), (2, "part")):
            with pytest.raises(UsageError, match="the number of an event, or the name of a step"):
                await run.fork(position, from_step=step)

    Environment().run(app, scenario)
