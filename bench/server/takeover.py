"""From ``kill -9`` of a worker to its runs going on at another one, on the same host."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path
from time import monotonic_ns, sleep
from typing import Any

from bench.server.program import Program
from bench.server.sizes import Sizes
from bench.server.stacks import aeterna_server, postgres, workers
from bench.server.starting import start_runs

RUNS = 20
STEP_S = 0.02
STEPS = 10_000
WAIT_S = 10.0
Line = tuple[int, int, str]


def takeover(system: str, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """The median and the worst, over all kills, of the time until *every* run of the killed worker executes a step
    elsewhere."""
    times_ms: list[float] = []
    with postgres() as database:
        db = database.url if system.endswith("postgres") else f"sqlite:///{folder / 'store.db'}"
        with aeterna_server(db) as (server, _):
            for number in range(sizes.takeovers):
                times_ms.append(_one(server, folder / f"log-{number}", number))
    return {"kill_to_all_going_on_p50_ms": statistics.median(times_ms), "kill_to_all_going_on_max_ms": max(times_ms)}


def _one(server: str, log: Path, number: int) -> float:
    order = {"log": str(log), "step_s": STEP_S}
    with workers(server, 2, **order) as (first, second):
        start_runs(server, "bench", "slow_steps", [f"slow-{number}-{index}" for index in range(RUNS)], STEPS)
        _wait_all_begun(log)
        victim = _busiest(log, (first, second))
        killed_us = monotonic_ns() // 1000
        victim.kill()
        orphans = _last_executor(log, killed_us, victim.pid)
        deadline_us = killed_us + WAIT_S * 1e6
        while True:
            resumed = {run: at for at, pid, run in reversed(_lines(log)) if pid != victim.pid and at > killed_us}
            if orphans <= resumed.keys():
                return max(resumed[run] - killed_us for run in orphans) / 1000
            if monotonic_ns() // 1000 > deadline_us:
                raise AssertionError(f"after {WAIT_S} s these runs do not go on: {orphans - resumed.keys()}")
            sleep(0.05)


def _lines(log: Path) -> list[Line]:
    if not log.exists():
        return []
    fields = (line.split("\t") for line in log.read_text().splitlines())
    return [(int(at), int(pid), run) for at, pid, run in fields]


def _wait_all_begun(log: Path) -> None:
    """Until every run has taken some steps."""
    steps: dict[str, int] = defaultdict(int)
    deadline_us = monotonic_ns() // 1000 + 30e6
    while len(steps) < RUNS or min(steps.values()) < 5:
        assert monotonic_ns() // 1000 < deadline_us, f"only {len(steps)} runs have begun"
        sleep(0.1)
        steps.clear()
        for _, _, run in _lines(log):
            steps[run] += 1


def _busiest(log: Path, programs: tuple[Program, Program]) -> Program:
    held = {program.pid: len(_last_executor(log, monotonic_ns() // 1000, program.pid)) for program in programs}
    return max(programs, key=lambda program: held[program.pid])


def _last_executor(log: Path, until_us: int, pid: int) -> set[str]:
    """The runs whose latest step until then was executed by this process."""
    last = {run: who for at, who, run in _lines(log) if at <= until_us}
    return {run for run, who in last.items() if who == pid}
