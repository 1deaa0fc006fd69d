"""Activities: retried, watched by their heartbeats, and going on where the last attempt was."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from aeterna import App, Context, RetryPolicy, StepTimeoutError, WorkflowFailedError, activity
from aeterna.durable.core import events as ev
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import NotDurableError, SerializationError
from aeterna.testing import Environment

app = App("activities", store="memory:")
QUICK = RetryPolicy(maximum_attempts=3, initial_interval=0.01)
seen: list[tuple[int, object]] = []


@pytest.fixture(autouse=True)
def _nothing_seen_yet() -> None:
    seen.clear()


async def count(to: int, fail_at: int, *, slow_at: int = -1) -> int:
    """Counts with a heartbeat for each number, and fails once."""
    begin = activity.last_details(int) or 0
    seen.append((activity.attempt(), begin))
    for number in range(begin, to):
        if activity.attempt() == 1 and number == fail_at:
            raise ConnectionError("once")
        await sleep(3600 if number == slow_at and activity.attempt() == 1 else 0.5)
        activity.heartbeat(number + 1)
    return activity.attempt()


@app.workflow
async def counting(ctx: Context, to: int, fail_at: int) -> int:
    return await ctx.activity("count", count, to, fail_at, retry=QUICK)


@app.workflow
async def stalling(ctx: Context) -> int:
    return await ctx.activity(count, 10, -1, slow_at=4, retry=QUICK, heartbeat_timeout=timedelta(seconds=5))


def test_the_next_attempt_is_given_the_details_of_the_last_heartbeat() -> None:
    async def scenario(env: Environment) -> None:
        run = await counting.start(10, 7)
        assert await run.result() == 2
        assert seen == [(1, 0), (2, 7)]
        beats = [event for event in await env.store.history(run.id) if isinstance(event, ev.StepHeartbeat)]
        assert [event.details for event in beats if event.attempt == 1][-1] == b"j7", "the last one before the failure"
        assert len(beats) < 10, "they are recorded once a second at most"

    Environment().run(app, scenario)


def test_an_attempt_that_is_not_heard_of_has_failed() -> None:
    async def scenario(_: Environment) -> None:
        run = await stalling.start()
        assert await run.result() == 2
        assert seen == [(1, 0), (2, 4)]

    Environment().run(app, scenario)


def test_the_details_survive_a_crash() -> None:
    """At most those of the last second are missing."""

    async def scenario(env: Environment) -> None:
        run = await counting.start(20, -1)
        await env.sleep(5.2)
        await env.crash()
        assert await run.result() == 1
        assert seen[0] == (1, 0)
        assert seen[1][0] == 1
        assert 8 <= int(str(seen[1][1])) <= 10

    Environment().run(app, scenario)


@app.activity(retry=RetryPolicy(maximum_attempts=1), heartbeat_timeout=1000)
def in_a_thread(limit: int) -> list[int]:
    for number in range(limit):
        activity.heartbeat({"at": number})
    return [threading.get_native_id(), activity.last_details()["at"] if limit < 0 else activity.attempt()]


@app.workflow
async def threaded(ctx: Context) -> list[int]:
    return await in_a_thread(5)


async def test_a_plain_function_beats_from_its_thread() -> None:
    async with App("threads", store="memory:") as other:
        other.add_workflow(threaded)
        handle = await threaded.start()
        result = await handle.result()
    assert result[0] != threading.get_native_id()
    assert result[1] == 1
    await app.close()


def test_one_that_nobody_waits_for_any_more_is_told_so() -> None:
    """A thread cannot be stopped; its next heartbeat ends it."""
    pulses: list[object] = []

    async def overdue() -> None:
        pulse = activity.current_pulse()
        pulses.append(pulse)
        await sleep(60)

    async def scenario(_: Environment) -> None:
        other = App("overdue", store="memory:")

        @other.workflow
        async def job(ctx: Context) -> None:
            await ctx.activity(overdue, retry=RetryPolicy(maximum_attempts=1), timeout=1)

        async with other:
            with pytest.raises(WorkflowFailedError, match="ran longer than its timeout of 1 s"):
                await job.start_and_wait()
        with pytest.raises(StepTimeoutError, match="attempt 1 of activity 'overdue' is over"):
            pulses[0].beat(1)  # type: ignore[attr-defined]

    Environment().run(app, scenario)


@app.step
async def no_activity() -> None:
    activity.heartbeat()


@app.activity(retry=RetryPolicy(maximum_attempts=1))
async def unrecordable() -> None:
    activity.heartbeat(object())


@app.workflow
async def misuse(ctx: Context, kind: str) -> None:
    await (no_activity() if kind == "step" else unrecordable())


def test_misuse_is_named() -> None:
    with pytest.raises(NotDurableError, match=r"ctx\.activity"):
        activity.heartbeat()

    async def scenario(_: Environment) -> None:
        for kind, error in (("step", NotDurableError), ("activity", SerializationError)):
            with pytest.raises(WorkflowFailedError) as caught:
                await misuse.start_and_wait(kind)
            assert caught.value.error_type.endswith(error.__name__)

    Environment().run(app, scenario)


def test_the_default_of_an_activity_is_to_try_again() -> None:
    assert in_a_thread.definition.retry.maximum_attempts == 1

    @app.activity
    async def plain() -> None: ...

    assert plain.definition.retry == RetryPolicy()
    assert plain.definition.is_activity
    assert no_activity.options(heartbeat_timeout=3).definition.heartbeat_timeout_us == 3_000_000
