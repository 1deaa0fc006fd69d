"""Signals: durable, in order, each counted once, wherever the run is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from aeterna import App, Context, WorkflowFailedError
from aeterna.durable.core import events as ev
from aeterna.kernel.errors import InvalidStateError, RunNotFoundError, SerializationError, UsageError
from aeterna.kernel.limits import Limits
from aeterna.testing import Environment

app = App("signals", store="memory:", limits=Limits(resident_runs_max=1))


@dataclass
class Word:
    text: str
    weight: int = 1


@app.step
async def note(what: Any) -> Any:
    return what


@app.workflow
async def collect(ctx: Context, count: int) -> list[Any]:
    return [await ctx.wait_signal("word") for _ in range(count)]


@app.workflow
async def late(ctx: Context) -> list[Any]:
    await ctx.sleep(60)
    return [await ctx.wait_signal("word"), await ctx.wait_signal("word")]


@app.workflow
async def typed(ctx: Context) -> str:
    word = await ctx.wait_signal("word", Word)
    return word.text * word.weight


@app.workflow
async def impatient(ctx: Context) -> Any:
    try:
        return await ctx.wait_signal("word", timeout=timedelta(hours=1))
    except TimeoutError as error:
        return [str(error), await ctx.wait_signal("word")]


@app.workflow
async def racing(ctx: Context) -> list[Any]:
    results = []
    for _ in range(3):
        results.append(list(await ctx.wait_any(ctx.wait_signal("a"), ctx.wait_signal("b"), ctx.sleep(3600))))
    return results


@app.workflow
async def in_tasks(ctx: Context) -> list[Any]:
    """Two tasks wait for the same name; a third one gives up."""

    async def take() -> Any:
        return await ctx.step(note, await ctx.wait_signal("word"))

    given_up = asyncio.create_task(ctx.wait_signal("word"))
    tasks = [asyncio.create_task(take()) for _ in range(2)]
    await ctx.sleep(1)
    given_up.cancel()
    return await asyncio.gather(*tasks)


async def signals_in(env: Environment, run_id: str) -> list[tuple[int, str, str]]:
    history = await env.store.history(run_id)
    return [(event.number, event.id, event.name) for event in history if isinstance(event, ev.SignalReceived)]


def test_signals_come_in_order_and_one_of_a_known_id_does_not_come_again() -> None:
    async def scenario(env: Environment) -> None:
        run = await collect.start(3)
        for text, id_ in (("one", "x"), ("again", "x"), ("two", ""), ("again", "x"), ("three", "y")):
            await run.signal("word", text, id=id_)
        assert await run.result() == ["one", "two", "three"]
        assert [id_ for _, id_, _ in await signals_in(env, run.id)] == ["x", "", "y"]
        assert await env.store.inbox(run.id) == []

    Environment().run(app, scenario)


def test_a_signal_is_kept_until_the_run_waits_for_it() -> None:
    async def scenario(env: Environment) -> None:
        run = await late.start()
        await run.signal("word", "early")
        await run.signal("other", "of no interest")
        await env.sleep(30)
        await run.signal("word", "later")
        assert await run.result() == ["early", "later"]

    Environment().run(app, scenario)


def test_accepted_signals_survive_a_crash_and_count_once() -> None:
    """Crashes come after each acknowledgement, when the run may have recorded the signal or not."""

    async def scenario(env: Environment) -> None:
        run = await collect.options(workflow_id="survivor").start(6)
        for number in range(6):
            await run.signal("word", number, id=f"id-{number}")
            await env.crash()
            await run.signal("word", "repeated", id=f"id-{number}")
        assert await run.result() == list(range(6))
        assert len(await signals_in(env, run.id)) == 6

    Environment().run(app, scenario)


def test_a_run_that_left_memory_is_brought_back_by_its_signal() -> None:
    """With room for one waiting run, the others are given up; each comes back for its signal."""

    async def scenario(env: Environment) -> None:
        runs = [await collect.start(2) for _ in range(5)]
        await env.sleep(1)
        engine = await app.engine()
        rows = [await run.status() for run in runs]
        assert {row.detail for row in rows} == {"waiting_signal"}
        assert {row.note for row in rows} == {"signal 'word'"}
        assert sum(engine.is_resident(run.id) for run in runs) <= 2
        for text in ("first", "second"):
            for run in runs:
                await run.signal("word", text)
            await env.sleep(1)
        assert [await run.result() for run in runs] == [["first", "second"]] * 5

    Environment().run(app, scenario)


def test_the_payload_comes_as_the_type_that_is_asked_for() -> None:
    async def scenario(_: Environment) -> None:
        run = await typed.start()
        await run.signal("word", Word("ho", 3))
        assert await run.result() == "hohoho"
        wrong = await typed.start()
        await wrong.signal("word", {"weight": "heavy"})
        with pytest.raises(WorkflowFailedError, match="the payload of signal 'word' does not fit its type Word"):
            await wrong.result()

    Environment().run(app, scenario)


def test_a_wait_ends_with_its_time_and_a_later_signal_goes_to_the_next_wait() -> None:
    async def scenario(env: Environment) -> None:
        run = await impatient.start()
        await env.sleep(7200)
        await env.crash()
        await run.signal("word", "late")
        assert await run.result() == ["no signal 'word' came within 1:00:00", "late"]
        quick = await impatient.start()
        await quick.signal("word", "in time")
        assert await quick.result() == "in time"
        history = await env.store.history(quick.id)
        assert [event.kind for event in history if isinstance(event, ev.WaitAbandoned)] in (["timer"], [])

    Environment().run(app, scenario)


@pytest.mark.parametrize("crashes", [False, True])
def test_the_first_of_several_waits_wins_and_the_others_lose_no_signal(*, crashes: bool) -> None:
    async def scenario(env: Environment) -> None:
        run = await racing.start()
        await run.signal("b", "first")
        await run.signal("a", "second")
        if crashes:
            await env.crash()
        await run.signal("b", "third")
        assert sorted(await run.result()) == [[0, "second"], [1, "first"], [1, "third"]]
        timed = await racing.start()
        assert await timed.result() == [[2, None]] * 3

    Environment().run(app, scenario)


@pytest.mark.parametrize("crashes", [False, True])
def test_tasks_that_wait_for_one_name_take_turns_and_one_that_gave_up_takes_none(*, crashes: bool) -> None:
    async def scenario(env: Environment) -> None:
        run = await in_tasks.start()
        await env.sleep(2)
        await run.signal("word", 1)
        if crashes:
            await env.crash()
        await run.signal("word", 2)
        assert await run.result() == [1, 2]

    Environment().run(app, scenario)


def test_there_must_be_a_run_that_can_take_it() -> None:
    async def scenario(_: Environment) -> None:
        run = await collect.start(0)
        await run.result()
        with pytest.raises(InvalidStateError):
            await run.signal("word", 1)
        with pytest.raises(RunNotFoundError):
            await app.handle("nobody").signal("word", 1)
        with pytest.raises(SerializationError, match="the payload of signal 'word'"):
            await run.signal("word", object())

    Environment().run(app, scenario)


def test_an_inbox_that_is_read_while_a_commit_is_on_its_way_gives_nothing_twice() -> None:
    """Several signals in a row have the inbox read again before the first are out of it."""

    async def scenario(env: Environment) -> None:
        run = await collect.start(20)
        await asyncio.gather(*[run.signal("word", number) for number in range(20)])
        assert sorted(await run.result()) == list(range(20))
        assert [number for number, _, _ in await signals_in(env, run.id)] == list(range(1, 21))

    Environment().run(app, scenario)


@app.workflow
async def of_none(ctx: Context) -> str:
    waits: list[Any] = []
    try:
        await ctx.wait_any(*waits)
    except UsageError as error:
        return str(error)
    return "it waited"


def test_the_first_of_none_is_a_mistake_that_is_told() -> None:
    async def scenario(env: Environment) -> None:
        assert (
            await (await of_none.start()).result()
            == "ctx.wait_any() waits for the first of several: give it one at least"
        )

    Environment().run(app, scenario)
