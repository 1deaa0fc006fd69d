"""The public test environment: virtual time, crashes and restarts of an app."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aeterna import App, Context, RetryPolicy
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import InvalidStateError
from aeterna.testing import Environment, FakeClock, StalledError, VirtualLoop


def reminders() -> tuple[App, list[str]]:
    app = App("reminders")
    sent: list[str] = []

    @app.step
    def send(name: str) -> str:
        sent.append(name)
        return f"sent to {name}"

    @app.workflow
    async def remind(ctx: Context, name: str) -> str:
        await ctx.step(send, "welcome " + name)
        await ctx.sleep(days=30)
        return await ctx.step(send, name)

    return app, sent


def test_a_sleep_of_thirty_days_takes_no_time() -> None:
    app, sent = reminders()

    async def scenario(env: Environment) -> datetime:
        run = await app.find_workflow("remind").start("ada")
        await env.sleep(timedelta(days=29))
        assert sent == ["welcome ada"]
        assert await run.result() == "sent to ada"
        return env.now

    before = time.monotonic()
    env = Environment(started_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert env.run(app, scenario) >= datetime(2030, 1, 31, tzinfo=UTC)
    assert time.monotonic() - before < 20


@pytest.mark.parametrize("is_crash", [True, False], ids=["crash", "restart"])
def test_a_run_goes_on_after_its_engine_ended(is_crash: bool) -> None:
    """A finished step is not executed again, whether the engine was killed or stopped."""
    app, sent = reminders()

    async def scenario(env: Environment) -> str:
        run = await app.find_workflow("remind").options(workflow_id="r").start("ada")
        await env.sleep(timedelta(days=3))
        await (env.crash() if is_crash else env.restart())
        result: str = await run.result()
        return result

    assert Environment().run(app, scenario) == "sent to ada"
    assert sent == ["welcome ada", "ada"]


def test_what_was_not_committed_is_lost_in_a_crash() -> None:
    """A step that was under way is executed again."""
    app = App("a")
    begun: list[int] = []

    @app.step
    async def slow() -> int:
        begun.append(1)
        await sleep(60)
        return len(begun)

    @app.workflow
    async def job(ctx: Context) -> int:
        return await slow()

    async def scenario(env: Environment) -> int:
        run = await job.start()
        await env.sleep(30)
        await env.crash()
        return await run.result()

    assert Environment().run(app, scenario) == 2


def test_one_environment_keeps_its_runs_from_one_scenario_to_the_next() -> None:
    app, _ = reminders()
    env = Environment()

    async def begin(env: Environment) -> None:
        await app.find_workflow("remind").options(workflow_id="r").start("ada")

    async def end(env: Environment) -> str:
        result: str = await app.handle("r").result()
        return result

    env.run(app, begin)
    assert env.run(app, end) == "sent to ada"


def test_retries_wait_in_virtual_time() -> None:
    app = App("a")
    attempts: list[datetime] = []
    env = Environment()

    @app.step(retry=RetryPolicy(maximum_attempts=4, initial_interval=3600, maximum_interval=timedelta(days=1)))
    async def flaky() -> str:
        attempts.append(env.now)
        if len(attempts) < 4:
            raise ConnectionError("down")
        return "up"

    @app.workflow
    async def job(ctx: Context) -> str:
        return await flaky()

    assert env.run(app, lambda env: job.start_and_wait()) == "up"
    hours = [round((later - earlier).total_seconds() / 3600) for earlier, later in itertools.pairwise(attempts)]
    assert hours == [1, 2, 4]


def test_an_open_app_cannot_be_placed_elsewhere() -> None:
    app, _ = reminders()

    async def scenario(env: Environment) -> None:
        app.place(env.store, env.clock)

    with pytest.raises(InvalidStateError, match="is open"):
        Environment().run(app, scenario)


async def test_crashing_without_an_app_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"scenario of Environment\.run"):
        await Environment().crash()


def test_a_wait_that_can_never_end_is_an_error() -> None:
    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with (
        pytest.raises(StalledError, match="can never happen"),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(patience_s=0)) as runner,
    ):
        runner.run(wait_for_ever())


def test_time_stands_still_while_a_thread_works() -> None:
    loop = VirtualLoop()

    async def main() -> list[str]:
        order: list[str] = []
        job = loop.run_in_executor(None, order.append, "thread")
        job.add_done_callback(lambda _: order.append("told"))
        await sleep(0.001)
        order.append("timer")
        return order

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main()) == ["thread", "told", "timer"]


def test_another_thread_wakes_a_loop_that_has_nothing_to_do() -> None:
    loop = VirtualLoop()

    async def main() -> int:
        future: asyncio.Future[int] = loop.create_future()
        loop.call_soon(lambda: loop.call_soon_threadsafe(future.set_result, 7))
        return await future

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main()) == 7


def test_the_wall_clock_can_be_set_and_time_does_not_go_back() -> None:
    clock = FakeClock(1_000)
    clock.advance(5)
    clock.set_wall(50)
    clock.advance(1)
    assert (clock.now_us(), clock.monotonic_us()) == (51, 6)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_the_pytest_plugin_brings_a_fixture(tmp_path: Path) -> None:
    """In a process of its own, because a plugin cannot be added to a pytest that runs."""
    (tmp_path / "test_it.py").write_text(
        "from aeterna import App\n"
        "app = App('a')\n"
        "@app.workflow\n"
        "async def job(ctx):\n"
        "    await ctx.sleep(days=1)\n"
        "    return 1\n"
        "def test_it(aeterna_env):\n"
        "    assert aeterna_env.run(app, lambda env: job.start_and_wait()) == 1\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "aeterna.testing.pytest_plugin", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
