"""A server, workers and a client that executes nothing: each a process of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from aeterna import App, WorkflowCancelledError
from aeterna.kernel.errors import UsageError
from tests.processes import server_worker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "aeterna", "serve", "--db", "runs.db", "--grpc-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                ready = re.search(r"ready: grpc (127\.0\.0\.1:\d+)", line)
                if ready is not None:
                    yield ready[1]
                    break
            else:
                pytest.fail("the server ended before it was ready")
        finally:
            process.terminate()


@pytest.fixture
def crew(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers; they are ended with the test."""
    monkeypatch.setenv("AETERNA_SERVER", server)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


def start_worker(crew: list[subprocess.Popen[bytes]], *capabilities: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-m", "tests.processes.server_worker", *capabilities])
    crew.append(process)
    return process


def client(server: str) -> App:
    """The app of a process that only starts runs and asks."""
    app = App("served", server=server)
    for workflow in server_worker.app.workflows:
        app.add_workflow(workflow)
        workflow._app = app
    return app


async def test_a_client_starts_runs_and_asks_and_a_worker_executes_them(
    server: str, crew: list[subprocess.Popen[bytes]]
) -> None:
    worker = start_worker(crew)
    app = client(server)
    try:
        handle = await server_worker.job.options(workflow_id="first").start(20)
        assert set(await handle.result(timeout=30)) == {worker.pid}
        assert (await handle.status()).state == "COMPLETED"
        assert await handle.query("done") == 20
        with pytest.raises(UsageError, match="answers no query 'nothing'"):
            await handle.query("nothing")
        assert not app._opened._engine, "no engine was opened for that"
        again = await server_worker.job.options(workflow_id="first").start(20)
        assert set(await again.result(timeout=5)) == {worker.pid}
    finally:
        await app.close()


async def test_signals_pauses_and_terminations_reach_the_run_through_the_server(
    server: str, crew: list[subprocess.Popen[bytes]]
) -> None:
    start_worker(crew)
    app = client(server)
    try:
        handle = await server_worker.approval.start()
        await handle.pause("later")
        await handle.signal("word", "yes", id="1")
        await handle.resume()
        await handle.signal("word", "no", id="1")
        assert await handle.result(timeout=30) == "yes"
        doomed = await server_worker.approval.start()
        await doomed.terminate("no time")
        with pytest.raises(WorkflowCancelledError, match="no time"):
            await doomed.result(timeout=30)
        cancelled = await server_worker.approval.start()
        await cancelled.cancel("enough")
        with pytest.raises(WorkflowCancelledError, match="enough"):
            await cancelled.result(timeout=30)
    finally:
        await app.close()


BEGUN_EVENTS = 4
"""A run that has so many has finished a step."""


async def test_the_runs_of_a_killed_worker_go_on_in_another_at_once(
    server: str, crew: list[subprocess.Popen[bytes]]
) -> None:
    """The server sees the connection close, and waits for no lease."""
    first, second = start_worker(crew), start_worker(crew)
    app = client(server)
    try:
        handles = [await server_worker.job.start(60) for _ in range(8)]
        # Until all are under way; each takes a second more, at least.
        for handle in handles:
            while (await handle.status()).length < BEGUN_EVENTS:
                await asyncio.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        results = [await handle.result(timeout=30) for handle in handles]
        assert time.monotonic() - killed < 8, "the lease is ten seconds"
        assert all(set(pids) <= {first.pid, second.pid} for pids in results)
        assert second.pid in {pid for pids in results for pid in pids}
    finally:
        await app.close()


async def test_a_run_that_requires_something_waits_for_a_worker_that_has_it(
    server: str, crew: list[subprocess.Popen[bytes]]
) -> None:
    start_worker(crew)
    app = client(server)
    try:
        handle = await server_worker.on_gpu.start()
        with pytest.raises(TimeoutError):
            await handle.result(timeout=3)
        able = start_worker(crew, "gpu")
        assert await handle.result(timeout=30) == able.pid
    finally:
        await app.close()
