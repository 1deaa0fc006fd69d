"""A worker waits for a run that it has, and which ends elsewhere: by force, or because its session was over."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aeterna import App, Context, WorkflowCancelledError
from aeterna.durable.core.states import State

COMMAND = (sys.executable, "-m", "aeterna", "serve", "--db", "runs.db", "--grpc-port", "0", "--http-port", "0")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("server")
    with subprocess.Popen([*COMMAND, "--lease", "1"], cwd=place, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        words = iter(process.stderr)
        try:
            yield next(found[1] for line in words if (found := re.search(r"ready: grpc (127\.0\.0\.1:\d+)", line)))
        finally:
            process.terminate()


@contextlib.contextmanager
def worker(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.processes.lasting_worker", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str], beginning: str) -> str:
    """The first line from now on that begins so; '' if the process ends without."""
    assert process.stdout is not None
    return next((line for line in process.stdout if line.startswith(beginning)), "")


async def test_a_run_that_is_terminated_ends_at_its_worker_too(server: str) -> None:
    """At once: the step under way is cancelled, and whoever waits for the result here hears of it."""
    app = App("forced", server=server)
    began, cancelled = asyncio.Event(), asyncio.Event()

    @app.step
    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    @app.workflow
    async def work(ctx: Context) -> None:
        await endless()

    async with app, asyncio.timeout(30):
        run = await work.start()
        result = asyncio.ensure_future(run.result())
        await began.wait()
        await run.terminate("enough")
        with pytest.raises(WorkflowCancelledError, match="terminated: enough"):
            await result
        await cancelled.wait()
        assert (await run.status()).state is State.CANCELLED


def test_a_wait_outlives_the_session_of_the_worker_that_waits(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped past its lease, it loses its run to another worker, and hears of the result all the same."""
    monkeypatch.setenv("AETERNA_SERVER", server)
    with worker() as waiting, worker("helps") as other:
        assert first_line(waiting, "step 1")
        waiting.send_signal(signal.SIGSTOP)
        assert first_line(other, "step")
        waiting.send_signal(signal.SIGCONT)
        result = first_line(waiting, "result")
        assert {str(waiting.pid), str(other.pid)} == set(re.findall(r"\d+", result)), result
        assert waiting.wait(30) == 0
