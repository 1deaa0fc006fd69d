"""How a run starts: delayed, one at a time, debounced, and in a queue by priority."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from aeterna import App, Context
from aeterna.durable.core.states import Detail, State
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import ConfigurationError
from aeterna.testing import Environment

app = App("starting", store="memory:")
order: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ordered_yet() -> None:
    order.clear()


@app.step
async def note(word: str) -> str:
    order.append(word)
    await sleep(10)
    return word


@app.workflow
async def job(ctx: Context, word: str) -> str:
    return await note(word)


@app.workflow(queue="slow")
async def queued(ctx: Context, word: str) -> str:
    return await note(word)


def test_a_delayed_run_begins_when_its_time_has_come() -> None:
    async def scenario(env: Environment) -> None:
        run = await job.options(delay=timedelta(hours=1)).start("late")
        await env.sleep(3500)
        assert ((await run.status()).state, order) == (State.PENDING, [])
        assert await run.result() == "late"

    Environment().run(app, scenario)


@app.workflow
async def patient(ctx: Context) -> tuple[float, str]:
    before = ctx.now()
    await ctx.sleep(seconds=30)
    slept_s = (ctx.now() - before).total_seconds()
    try:
        await ctx.wait_signal("go", timeout=30)
    except TimeoutError:
        return slept_s, "gave up"
    return slept_s, "went"


def test_what_a_run_sleeps_counts_from_its_start_and_not_while_it_waits_for_it() -> None:
    async def scenario(env: Environment) -> None:
        run = await patient.options(delay=timedelta(hours=1)).start()
        await env.sleep(3620)
        assert (await run.status()).detail is Detail.SLEEPING
        await env.sleep(15)
        await run.signal("go")
        slept_s, how = await run.result()
        assert 30 <= slept_s < 31
        assert how == "went"

    Environment().run(app, scenario)


def test_there_is_one_unfinished_run_of_a_singleton() -> None:
    async def scenario(_: Environment) -> None:
        first = await job.options(singleton="customer-7").start("first")
        second = await job.options(singleton="customer-7").start("second")
        other = await job.options(singleton="customer-8").start("other")
        assert second.id == first.id
        assert await asyncio.gather(first.result(), other.result()) == ["first", "other"]
        third = await job.options(singleton="customer-7").start("third")
        assert third.id != first.id
        assert await third.result() == "third"

    Environment().run(app, scenario)


def test_a_debounced_run_begins_after_the_last_call_with_its_arguments() -> None:
    async def scenario(env: Environment) -> None:
        again = job.options(singleton="index", debounce=5)
        handles = []
        for word in ("one", "two", "three"):
            handles.append(await again.start(word))
            await env.sleep(3)
        assert len({handle.id for handle in handles}) == 1
        assert await handles[0].result() == "three"
        assert order == ["three"]

    Environment().run(app, scenario)


def test_lower_priorities_of_a_queue_come_first() -> None:
    async def scenario(env: Environment) -> None:
        later = queued.options(delay=1)
        runs = [await later.options(priority=number).start(str(number)) for number in (3, 1, 2)]
        await asyncio.gather(*[run.result() for run in runs])
        assert {(await run.status()).queue for run in runs} == {"slow"}
        assert order == ["1", "2", "3"]

    Environment().run(app, scenario)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs singleton="):
        job.options(debounce=5)
    with pytest.raises(ConfigurationError, match="give no delay="):
        job.options(singleton="x", debounce=5, delay=1)
    assert job.options(workflow_id="a").start_options is None, "a plain start begins at once"
