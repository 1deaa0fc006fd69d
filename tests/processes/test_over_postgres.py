"""Several real processes over one PostgreSQL, no server between: killed, stopped, and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from tests.processes.worker import FILE_VARIABLE, make_app
from tests.stores.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "executed.txt"
    path.touch()
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


class Workers:
    """Processes that are ended with the test, each by its id."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", "tests.processes.worker", self._url])
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)


@contextlib.contextmanager
def workers(url: str) -> Iterator[Workers]:
    crew = Workers(url)
    try:
        yield crew
    finally:
        crew.end()


async def until(condition: object, seconds: float = 30.0) -> None:
    """Wait for what other processes do."""
    async with asyncio.timeout(seconds):
        while not await condition():  # type: ignore[operator]
            await asyncio.sleep(0.05)


def executed(log: Path) -> Counter[str]:
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    return Counter(f"{run_id} {number}" for run_id, number, _ in lines)


async def test_a_killed_workers_runs_go_on_elsewhere_and_no_result_is_recorded_twice(
    server: PostgresServer, log: Path
) -> None:
    """Workers are killed while they work, and one is stopped past its lease and goes on."""
    with workers(server.url) as crew:
        app = make_app(server.url)
        async with app:
            job = app.find_workflow("job")
            first, second = crew.start(), crew.start()
            store = (await app.engine()).store

            async def all_are_here() -> bool:
                return len(await store.list_sessions()) == 3

            await until(all_are_here)
            handles = [await job.options(workflow_id=f"job-{n}", delay=0.01).start(30) for n in range(12)]

            async def all_work() -> bool:
                return len({line.split()[2] for line in log.read_text(encoding="utf-8").splitlines()}) == 3

            await until(all_work)
            first.kill()
            second.send_signal(signal.SIGSTOP)
            await asyncio.sleep(12)
            second.send_signal(signal.SIGCONT)
            results = [await handle.result(timeout=60) for handle in handles]
        assert results == [sum(range(30))] * 12
        reader = make_app(server.url)
        async with reader:
            kept = (await reader.engine()).store
            for n in range(12):
                history = await kept.history(f"job-{n}")
                assert fold(history).state is State.COMPLETED
                done = [event.result for event in history if isinstance(event, ev.StepCompleted)]
                assert len(done) == len(set(done)) == 30
        assert max(executed(log).values()) <= 3
        assert second.poll() is None, "it noticed that its session was over, and lives"


async def test_a_signal_finds_a_run_in_another_process(server: PostgresServer, log: Path) -> None:
    with workers(server.url) as crew:
        worker = crew.start()
        app = make_app(server.url)
        async with app:
            engine = await app.engine()
            handle = await app.find_workflow("approval").options(workflow_id="asked").start()
            await handle.signal("word", "yes", id="1")
            await handle.signal("word", "no", id="1")
            answer = await handle.result(timeout=20)
            assert answer in (f"yes by {worker.pid}", f"yes by {os.getpid()}")
            assert await engine.store.inbox("asked") == []


async def test_runs_survive_a_crash_of_the_database(server: PostgresServer, log: Path) -> None:
    with workers(server.url) as crew:
        crew.start()
        app = make_app(server.url)
        async with app:
            job = app.find_workflow("job")
            handles = [await job.options(workflow_id=f"again-{n}").start(20) for n in range(5)]
            await asyncio.sleep(0.3)
            server.crash_and_restart()

            async def ended() -> bool:
                with contextlib.suppress(Exception):
                    return all([(await handle.status()).state.is_final for handle in handles])
                return False

            await until(ended, 60)
            assert {(await handle.status()).state for handle in handles} == {State.COMPLETED}
