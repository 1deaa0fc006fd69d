"""What workflow code may use of asyncio, what it is told to use instead, and what it must not swallow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aeterna import App, Context, WorkflowFailedError
from aeterna.kernel.errors import NotDurableError
from aeterna.testing import Environment


def run(body: Callable[[Context], Awaitable[Any]]) -> Any:
    app = App("code")

    @app.workflow
    async def job(ctx: Context) -> Any:
        return await body(ctx)

    return Environment().run(app, lambda env: job.start_and_wait())


async def sleeps(ctx: Context) -> None:
    await asyncio.sleep(0.1)


async def times_out(ctx: Context) -> None:
    async with asyncio.timeout(1):
        await asyncio.get_running_loop().create_future()


async def waits_for(ctx: Context) -> None:
    await asyncio.wait_for(asyncio.get_running_loop().create_future(), 1)


async def waits_with_timeout(ctx: Context) -> None:
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=1)


async def uses_a_thread(ctx: Context) -> None:
    await asyncio.to_thread(print)


async def uses_an_executor(ctx: Context) -> None:
    await asyncio.get_running_loop().run_in_executor(None, print)


async def connects(ctx: Context) -> None:
    await asyncio.open_connection("localhost", 1)


async def starts_a_process(ctx: Context) -> None:
    await asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize(
    ("body", "instead"),
    [
        (sleeps, r"ctx\.sleep\(\)"),
        (times_out, r"ctx\.timeout\(\)"),
        (waits_for, r"ctx\.timeout\(\)"),
        (waits_with_timeout, r"ctx\.timeout\(\)"),
        (uses_a_thread, r"ctx\.step\(function"),
        (uses_an_executor, r"ctx\.step\(function"),
        (connects, "a step, which may use the network"),
        (starts_a_process, "a step, which may use the network"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_replay_would_not_repeat_is_refused_with_its_replacement(
    body: Callable[[Context], Awaitable[Any]], instead: str
) -> None:
    with pytest.raises(WorkflowFailedError, match=instead) as caught:
        run(body)
    assert isinstance(caught.value.__cause__, NotDurableError)


def test_giving_way_to_other_branches_is_allowed() -> None:
    """``asyncio.sleep(0)`` needs no clock."""

    async def body(ctx: Context) -> list[str]:
        order: list[str] = []

        async def branch(name: str) -> None:
            for turn in range(2):
                order.append(f"{name}{turn}")
                await asyncio.sleep(0)

        await asyncio.gather(branch("a"), branch("b"))
        return order

    assert run(body) == ["a0", "b0", "a1", "b1"]


class Heard(logging.Handler):
    """Collects messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.mark.parametrize("is_crash", [True, False], ids=["crash", "restart"])
def test_logs_of_workflow_code_are_silent_on_replay(is_crash: bool) -> None:
    """Each line is heard once, whether it came through ctx.logger or any other logger."""
    app = App("logs")
    heard = Heard()
    plain = logging.getLogger("tests.plain")
    loggers = [plain, logging.getLogger("aeterna.workflow.job")]
    for logger in loggers:
        logger.addHandler(heard)
        logger.setLevel(logging.INFO)

    @app.workflow
    async def job(ctx: Context) -> None:
        ctx.logger.info("begun")
        await ctx.sleep(10)
        plain.info("woken")
        await ctx.sleep(10)
        ctx.logger.info("done")

    async def scenario(env: Environment) -> None:
        handle = await job.start()
        await env.sleep(15)
        await (env.crash() if is_crash else env.restart())
        await handle.result()

    try:
        Environment().run(app, scenario)
    finally:
        for logger in loggers:
            logger.removeHandler(heard)
    assert heard.messages == ["begun", "woken", "done"]


def test_a_broad_handler_does_not_swallow_the_end_of_the_process() -> None:
    """``except Exception`` around a wait lets the engine leave, its ``finally`` runs, and the run goes on
    afterwards."""
    app = App("broad")
    seen: list[str] = []

    @app.workflow
    async def job(ctx: Context) -> str:
        for attempt in range(3):
            try:
                await ctx.sleep(days=1)
            except Exception as error:  # noqa: BLE001 - the broad handler is what is under test
                seen.append(f"swallowed {error!r}")
                continue
            finally:
                seen.append(f"left {attempt}")
        return "three days"

    async def scenario(env: Environment) -> str:
        handle = await job.start()
        await env.sleep(3600)
        await env.restart()
        return await handle.result()

    assert Environment().run(app, scenario) == "three days"
    assert seen == ["left 0", "left 0", "left 1", "left 2"]


def test_code_that_swallows_everything_cannot_keep_the_engine() -> None:
    """Even ``except BaseException`` in a loop ends: a second wait while leaving raises again, and nothing of it is
    recorded."""
    app = App("stubborn")

    @app.workflow
    async def job(ctx: Context) -> str:
        for _ in range(3):
            try:
                await ctx.sleep(days=1)
            except BaseException:  # noqa: BLE001 - the worst handler there is
                continue
        return "ended"

    async def scenario(env: Environment) -> str:
        handle = await job.start()
        await env.sleep(3600)
        await env.restart()
        before = env.now
        result = await handle.result()
        assert (env.now - before).total_seconds() > 2 * 86_400
        return result

    assert Environment().run(app, scenario) == "ended"
