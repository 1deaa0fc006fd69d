"""Load: so many runs in flight, each finished one replaced at once. The same code for every system."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

Run = Callable[[], Awaitable[object]]


async def keep_in_flight(run: Run, runs: int, in_flight: int) -> list[float]:
    """Make the runs; returns how long each took, in milliseconds."""
    left = runs
    times_ms: list[float] = []

    async def lane() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = perf_counter()
            await run()
            times_ms.append((perf_counter() - began) * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(lane())
    return times_ms


async def measure(run: Run, order: dict[str, Any]) -> dict[str, float]:
    """Warm up, then measure: runs and steps per second, and the latency of one run."""
    in_flight, runs = order["in_flight"], order["runs"]
    await keep_in_flight(run, max(in_flight, runs // 10), in_flight)
    began = perf_counter()
    times_ms = sorted(await keep_in_flight(run, runs, in_flight))
    elapsed_s = perf_counter() - began
    last = len(times_ms) - 1
    return {
        "steps_per_s": runs * order["steps"] / elapsed_s,
        "p50_ms": times_ms[last // 2],
        "p99_ms": times_ms[round(last * 0.99)],
    }


def say(line: dict[str, Any]) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def order() -> dict[str, Any]:
    """What this process is to do."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found
