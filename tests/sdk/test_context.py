"""What the context offers to workflow code."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from aeterna import App, Context, WorkflowCancelledError, WorkflowFailedError
from aeterna.durable.core import events as ev
from aeterna.durable.core.states import State


def new_app() -> App:
    return App("context", store="memory:")


async def history_of(app: App, run_id: str) -> list[ev.AnyEvent]:
    return await (await app.engine()).store.history(run_id)


async def test_now_uuid_and_random_follow_from_the_run_id_and_its_history() -> None:
    """The same id gives the same values in another store; another id gives others; tasks differ from each other."""

    async def run(run_id: str) -> list[Any]:
        app = new_app()

        @app.workflow
        async def flow(ctx: Context) -> list[Any]:
            async def branch() -> tuple[str, float]:
                return str(ctx.uuid()), ctx.random().random()

            here = (str(ctx.uuid()), str(ctx.uuid()), ctx.random().randint(1, 10**9))
            return [here, await asyncio.gather(branch(), branch())]

        async with app:
            return await flow.options(workflow_id=run_id).start_and_wait()

    first, again, other = await run("a"), await run("a"), await run("b")
    assert first == again
    assert first != other
    assert len({first[0][0], first[0][1], first[1][0][0], first[1][1][0]}) == 4


async def test_now_is_the_time_of_the_last_recorded_event() -> None:
    """It moves with the history and not with the clock."""
    app = new_app()

    @app.step
    async def tick() -> None: ...

    @app.workflow
    async def flow(ctx: Context) -> list[float]:
        before = ctx.now().timestamp()
        await tick()
        return [before, ctx.now().timestamp(), ctx.now().timestamp()]

    async with app:
        handle = await flow.start()
        before, after, still = await handle.result()
        history = await history_of(app, handle.id)
    assert before == history[0].at_us / 1e6
    [completed] = [event for event in history if isinstance(event, ev.StepCompleted)]
    assert after == still == completed.at_us / 1e6


async def test_parallel_returns_in_order_and_fails_fast_with_its_siblings_cancelled() -> None:
    """Results come in the order given; a failure cancels the other branches, and their cleanup runs before it is
    raised."""
    app = new_app()
    seen: list[str] = []
    forever = asyncio.Event()

    @app.step
    async def give(n: int) -> int:
        return n

    @app.step
    async def hang() -> None:
        try:
            await forever.wait()
        except asyncio.CancelledError:
            seen.append("step cancelled")
            raise

    @app.step
    async def fail() -> None:
        raise ValueError("no")

    @app.workflow
    async def flow(ctx: Context) -> list[int]:
        async def slow() -> None:
            try:
                await hang()
            finally:
                seen.append("branch ended")

        try:
            await ctx.parallel([slow, fail])
        except ValueError:
            seen.append("raised")
        assert await ctx.parallel([]) == []
        return await ctx.parallel([lambda n=n: give(n) for n in (3, 1, 2)])  # type: ignore[misc]

    async with app:
        assert await flow.start_and_wait() == [3, 1, 2]
    assert seen[:2] == ["branch ended", "raised"]
    assert seen[2:] == ["step cancelled"]


async def test_as_completed_gives_results_in_the_order_in_which_they_come() -> None:
    """Both the context's and asyncio's own, also for bare coroutines."""
    app = new_app()
    gates = {n: asyncio.Event() for n in range(3)}

    @app.step
    async def give(n: int) -> int:
        await gates[n].wait()
        if n:
            gates[n - 1].set()
        return n

    @app.workflow
    async def flow(ctx: Context) -> list[list[int]]:
        mine = [await result for result in ctx.as_completed([give(n) for n in range(3)])]
        theirs = [await result for result in asyncio.as_completed([give(n) for n in range(3)])]
        return [mine, sorted(theirs)]

    async with app:
        handle = await flow.start()
        gates[2].set()
        assert await handle.result(timeout=10) == [[2, 1, 0], [0, 1, 2]]


async def test_timeout_bounds_a_block_durably_and_nests() -> None:
    """The inner one fires and is caught, the outer one does not; an unused one leaves no trace in what follows."""
    app = new_app()

    @app.workflow
    async def flow(ctx: Context) -> str:
        async with ctx.timeout(60):
            try:
                async with ctx.timeout(timedelta(milliseconds=10)):
                    await ctx.sleep(hours=1)
            except TimeoutError:
                async with ctx.timeout(60):
                    pass
                return "inner"
        return "none"

    async with app:
        handle = await flow.start()
        assert await handle.result(timeout=10) == "inner"
        history = await history_of(app, handle.id)
    fired = [event.name for event in history if isinstance(event, ev.TimerFired)]
    assert fired == ["timeout"]
    abandoned = [(event.kind, event.name) for event in history if isinstance(event, ev.WaitAbandoned)]
    assert ("timer", "sleep") in abandoned


async def test_a_child_is_a_run_of_its_own_and_its_failure_is_raised_in_the_parent() -> None:
    """The result is typed by the child's annotation; a failure comes as the child's error; ids follow from the
    parent's."""
    app = new_app()

    @app.workflow
    async def divide(ctx: Context, a: int, b: int) -> float:
        return a / b

    @app.workflow
    async def flow(ctx: Context) -> list[Any]:
        half = await ctx.child(divide, 1, 2)
        try:
            await ctx.child(divide, 1, 0)
        except ZeroDivisionError as error:
            return [half, str(error)]
        return []

    async with app:
        handle = await flow.options(workflow_id="p").start()
        assert await handle.result() == [0.5, "division by zero"]
        first, second = app.handle("p/0:divide:1"), app.handle("p/0:divide:2")
        assert await first.result() == 0.5
        assert (await first.status()).parent == "p"
        with pytest.raises(WorkflowFailedError):
            await second.result()


async def test_cancelling_a_parent_cancels_the_child_it_waits_for() -> None:
    """Both end CANCELLED, and the parent's cleanup runs."""
    app = new_app()
    seen: list[str] = []

    @app.workflow
    async def nap(ctx: Context) -> None:
        try:
            await ctx.sleep(days=1)
        finally:
            seen.append("child cleaned up")

    @app.workflow
    async def flow(ctx: Context) -> None:
        await ctx.child(nap)

    async with app:
        handle = await flow.options(workflow_id="p").start()
        child = app.handle("p/0:nap:1")
        await started(app, "p", ev.ChildStarted)
        await handle.cancel("enough")
        with pytest.raises(WorkflowCancelledError, match="enough"):
            await handle.result(timeout=10)
        with pytest.raises(WorkflowCancelledError):
            await child.result(timeout=10)
        assert (await child.status()).state is State.CANCELLED
    assert seen == ["child cleaned up"]


async def started(app: App, run_id: str, kind: type[ev.Event]) -> None:
    """Wait until the run's history holds an event of this kind."""
    async with asyncio.timeout(10):
        while not any(isinstance(event, kind) for event in await history_of(app, run_id)):
            await (await app.engine()).journal.barrier()


async def test_the_workflows_logger_names_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """Each record carries the run id; the level is the user's."""
    app = new_app()

    @app.workflow
    async def flow(ctx: Context) -> None:
        ctx.logger.warning("here")

    with caplog.at_level(logging.WARNING, "aeterna.workflow.flow"):
        async with app:
            await flow.options(workflow_id="r").start_and_wait()
    [record] = [record for record in caplog.records if record.message == "here"]
    assert record.__dict__["run_id"] == "r"


@pytest.mark.parametrize(
    ("arguments", "keywords", "expected_us"),
    [
        ((1.5,), {}, 1_500_000),
        ((timedelta(seconds=2),), {}, 2_000_000),
        ((), {"minutes": 5}, 300_000_000),
        ((), {"days": 1, "hours": 1, "minutes": 1, "seconds": 1}, 90_061_000_000),
        ((), {}, 0),
    ],
)
async def test_sleep_takes_seconds_a_timedelta_or_parts(
    arguments: tuple[Any, ...], keywords: dict[str, Any], expected_us: int
) -> None:
    """The recorded due time is the time of the last event plus the whole duration."""
    app = new_app()

    @app.workflow
    async def flow(ctx: Context) -> None:
        await ctx.sleep(*arguments, **keywords)

    async with app:
        handle = await flow.options(workflow_id="s").start()
        await started(app, handle.id, ev.TimerStarted)
        history = await history_of(app, handle.id)
    [timer] = [event for event in history if isinstance(event, ev.TimerStarted)]
    assert timer.due_us - history[1].at_us == expected_us


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf"), timedelta(days=-1)])
async def test_a_sleep_of_no_sensible_length_is_refused(duration: Any) -> None:
    """Negative, infinite and undefined durations name themselves."""
    app = new_app()

    @app.workflow
    async def flow(ctx: Context) -> None:
        await ctx.sleep(duration)

    async with app:
        with pytest.raises(WorkflowFailedError, match=r"duration of ctx\.sleep is"):
            await flow.start_and_wait()
