"""SIGKILL from outside, at times nobody chose, with many runs in flight, on the store as programs use it."""

from __future__ import annotations

import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.crash.checker import Life, check_lives, read_store
from tests.crash.execution_log import ExecutionLog
from tests.crash.job import Job
from tests.crash.processes import watched

SEED = 9
STORES = 4
KILLS = 5
RUNS = 20
LINES_MAX = 120
"""A kill comes after up to so many lines of the execution log; all runs together write about 720."""


def tell(directory: Path, seed: int) -> list[Life]:
    """Kill `KILLS` lives one after the other, then let one end."""
    directory.mkdir()
    job = Job(str(directory), "crowd", bare=True, runs=RUNS, step_s=0.001)
    choice = random.Random(seed)
    lives: list[Life] = []
    for _ in range(KILLS):
        with watched(job) as worker:
            assert worker.wait_lines(choice.randint(1, LINES_MAX)), "the runs ended before all kills had come"
            worker.signal(signal.SIGKILL)
            lives.append(worker.end())
    with watched(job) as worker:
        lives.append(worker.end())
    return lives


def check(directory: Path, seed: int) -> None:
    lives = tell(directory, seed)
    assert [life.returncode for life in lives] == [-signal.SIGKILL] * KILLS + [0]
    check_lives(lives, ExecutionLog(directory / "executions").lines())
    # Each journey has a child.
    assert len(read_store(directory / "store.db").rows) == 2 * RUNS


def test_kills_at_random_times_with_twenty_runs_in_flight_lose_nothing(tmp_path):
    """Twenty kills. Every run finishes once, its numbering is contiguous, no step completes twice or executes more
    often than kills explain, and nothing acknowledged is lost or changes."""
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(check, tmp_path / str(n), SEED + n) for n in range(STORES)]:
            done.result()
