"""Real servers and workers, and what happens to both."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import Any

import pytest

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.states import State
from aeterna.durable.operations.start import StartRequest
from aeterna.durable.stores.contract import RunQuery
from aeterna.durable.stores.remote.client import RemoteWorld
from aeterna.kernel.clock import SystemClock, sleep
from aeterna.kernel.errors import InvalidStateError, RunNotFoundError
from tests.wire.processes import ROOT, place

CLOCK = SystemClock()
RESULT_S = 30


@pytest.fixture
def here(tmp_path):
    with place(tmp_path) as found:
        yield found


class Client:
    """A `RemoteWorld` for a test."""

    def __init__(self, address):
        self.world = RemoteWorld("shop", [address])

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.world.close()

    async def start(self, workflow, *args):
        arguments = codec.encode([list(args), {}], "arguments", 10_000)
        run_id = f"{workflow}-{CLOCK.monotonic_us()}"
        request = StartRequest(id=run_id, workflow=workflow, version="1", arguments=arguments)
        return (await self.world.start(request)).id

    async def result(self, run_id):
        run = await self.world.await_result(run_id, RESULT_S)
        assert run.state is State.COMPLETED, run.error
        return codec.decode(run.result, Any, "result")

    async def steps(self, run_id):
        history = await self.world.store.history(run_id)
        return [event for event in history if isinstance(event, ev.StepCompleted)]

    async def wait_steps(self, run_id, count):
        async with asyncio.timeout(RESULT_S):
            while len(await self.steps(run_id)) < count:
                await sleep(0.01)


def run(scenario):
    async def bounded():
        async with asyncio.timeout(100):
            await scenario()

    asyncio.run(bounded())


def test_the_same_app_runs_through_a_server(here):
    here.server()
    here.worker()

    async def scenario():
        async with Client(here.address) as client:
            runs = [await client.start("summing", 10) for _ in range(20)]
            assert [await client.result(run_id) for run_id in runs] == [45] * 20
            page = await client.world.store.list_runs(RunQuery(workflow="summing", limit=5))
            assert [row.id for row in page.rows] == runs[:-6:-1]
            assert page.next is not None
            with pytest.raises(RunNotFoundError, match="nobody"):
                await client.world.await_result("nobody", 1)
            waits = await client.start("signalled")
            with pytest.raises(TimeoutError):
                await client.world.await_result(waits, 0.1)
            assert await client.world.signal(waits, "go", codec.encode("now", "signal", 100), "once")
            assert await client.result(waits) == "now"
            with pytest.raises(InvalidStateError):
                await client.world.signal(waits, "go", codec.encode("now", "signal", 100), "twice")

    run(scenario)
    script = (
        "import asyncio\nfrom tests.wire.cluster_app import app, summing\n"
        "async def main():\n    async with app:\n        print(await summing.start_and_wait(4))\nasyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**__import__("os").environ, "AETERNA_SERVER": here.address},
    )  # fmt: skip
    assert done.stdout == "6\n", done.stderr


def test_the_runs_of_a_killed_worker_go_on_elsewhere_within_a_quarter_of_a_second(here):
    here.server()
    first = here.worker()

    async def scenario():
        async with Client(here.address) as client:
            run_id = await client.start("waiting", 20, 0.05)
            await client.wait_steps(run_id, 3)
            here.worker()
            first.kill()
            killed_us = CLOCK.now_us()
            result = await client.result(run_id)
            assert set(result) == {first.pid, here.started[-1].pid}
            history = await client.world.store.history(run_id)
            again = [event for event in history if isinstance(event, ev.RunStarted)][1]
            assert again.at_us - killed_us < 250_000
            assert len(result) == len(await client.steps(run_id)) == 20

    run(scenario)


def test_a_worker_that_was_stopped_past_its_lease_is_fenced(here):
    here.server("--lease", "1")
    first = here.worker()

    async def scenario():
        async with Client(here.address) as client:
            run_id = await client.start("waiting", 40, 0.1)
            await client.wait_steps(run_id, 3)
            first.send(signal.SIGSTOP)
            second = here.worker()
            async with asyncio.timeout(RESULT_S):
                while not any(pid == second.pid for pid in await pids(client, run_id)):
                    await sleep(0.05)
            first.send(signal.SIGCONT)
            result = await client.result(run_id)
            steps = await client.steps(run_id)
            assert [step.occurrence for step in steps] == list(range(1, 41))
            assert result == sorted(result, key=lambda pid: pid != first.pid)
            # It goes on with a new session.
            second.kill()
            assert await client.result(await client.start("summing", 3)) == 3

    run(scenario)


async def pids(client, run_id):
    return [codec.decode(step.result, int, "pid") for step in await client.steps(run_id)]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_workers_keep_their_sessions_while_a_server_restarts(here, how):
    server = here.server()
    worker = here.worker()

    async def scenario():
        async with Client(here.address) as client:
            runs = [await client.start("waiting", 30, 0.05) for _ in range(5)]
            await client.wait_steps(runs[0], 3)
            before = {session.number for session in await client.world.store.list_sessions()}
            results = [asyncio.ensure_future(client.result(run_id)) for run_id in runs]
            if how == "kill":
                server.kill()
            else:
                began_us = CLOCK.monotonic_us()
                assert server.stop() == 0
                assert CLOCK.monotonic_us() - began_us < 4_000_000, "it waited for streams that nobody ended"
            here.server()
            for result in await asyncio.gather(*results):
                assert result == [worker.pid] * 30
            for run_id in runs:
                history = await client.world.store.history(run_id)
                assert sum(isinstance(event, ev.RunStarted) for event in history) == 1
            after = {session.number for session in await client.world.store.list_sessions() if session.name != "server"}
            assert after <= before

    run(scenario)
