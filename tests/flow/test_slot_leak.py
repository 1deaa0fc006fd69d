"""A slot of a queue is the run's own row: whoever is killed, and when, none is lost and none is used twice."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aeterna.durable.stores.contract import QueueState
from aeterna.durable.stores.sqlite import SqliteStore
from tests.flow.slot_worker import QUEUE, SLOTS, STEPS

ROOT = Path(__file__).parents[2]
RUNS = 10


@contextmanager
def working(store: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.flow.slot_worker", store, str(log), str(RUNS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_lines(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"the worker ended with {process.wait()} before it said {word!r}")


def wait_log(process: subprocess.Popen[str], log: Path, lines: int) -> None:
    """Until the log has so many lines, as far as another process can tell."""
    while count(log) < lines:
        try:
            process.wait(0.005)
        except subprocess.TimeoutExpired:
            continue
        return


def count(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def check_slots(log: Path) -> None:
    """Never more runs at work than there are slots; a process takes its own with it."""
    working: dict[str, set[str]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        word, run, pid = line.split()
        working = {pid: working.get(pid, set())}  # one process has the store at a time
        if word == "begin":
            working[pid].add(run)
        else:
            working[pid].discard(run)
        assert len(working[pid]) <= SLOTS, line


@pytest.mark.parametrize("seed", range(3))
async def test_killed_programs_leak_no_slot(tmp_path: Path, seed: int):
    """Killed five times at random moments; then all runs finish, two at a time, and the queue is empty."""
    rng = random.Random(seed)
    store, log = tmp_path / "slots.db", tmp_path / "log"
    for _ in range(5):
        with working(f"sqlite:///{store}", log) as process:
            wait_lines(process, "started")
            wait_log(process, log, count(log) + rng.randint(1, 4))
            process.kill()
    with working(f"sqlite:///{store}", log) as process:
        wait_lines(process, "done")
        assert process.wait() == 0
    check_slots(log)
    ends = [line.split()[1] for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("end")]
    assert {run: ends.count(run) >= STEPS for run in ends} == {f"run-{number}": True for number in range(RUNS)}
    left = SqliteStore(store, "slots")
    await left.open()
    try:
        (state,) = await left.list_queues()
        assert isinstance(state, QueueState)
        assert (state.queue.name, state.pending, state.running) == (QUEUE, 0, 0)
    finally:
        await left.close()
