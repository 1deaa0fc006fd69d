"""The measuring code inside a child process: one workload on one engine, then one result line on standard output.

Lines are JSON objects: ``{"event": NAME}`` on the way, ``{"result": {METRIC: NUMBER}}`` at the end. The parent may kill
this process at any line, and for some workloads that is the point.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.engine import Engine, EngineOptions, Job, store_bytes
from bench.execution_log import ExecutionLog
from bench.jobs import PROBE, Barrier

GATE_DISTANCE = 10
"""The long run is stopped this many steps before its end."""
EDGE_STEPS = 500
"""How many steps at each end of a long run are compared."""
STEPS_PER_NOOP_RUN = 10
LONG_RUN_ID = "growth"


@dataclass(frozen=True, slots=True)
class Order:
    """What the parent asks of this process. ``runs``, ``in_flight``, ``steps`` mean what the workload makes of them."""

    workload: str
    store: str
    loop: str = "asyncio"
    level: str = "state-action-log"
    dbos_journal: str = "delete"
    log: str = ""
    runs: int = 0
    in_flight: int = 0
    steps: int = 0

    def options(self) -> EngineOptions:
        """The part the engine wants to know."""
        return EngineOptions(self.level, self.dbos_journal)


def emit(line: dict[str, Any]) -> None:
    """Send one line to the parent now."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def cpu_s() -> float:
    """User and system time of this process with all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def keep_in_flight(engine: Engine, job: Job, runs: int, in_flight: int) -> None:
    """Make ``runs`` runs, never more than ``in_flight`` at a time: each finished one is replaced at once."""
    left = runs

    async def lane() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await engine.run(job)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(lane())


async def noop(engine: Engine, order: Order) -> dict[str, float | str]:
    """Throughput, processor time and bytes of runs of ten no-op steps."""
    store = Path(order.store)
    await engine.open(store, order.options())
    job = Job("steps", (STEPS_PER_NOOP_RUN,))
    warm_up_runs = max(order.in_flight, order.runs // 10)
    await keep_in_flight(engine, job, warm_up_runs, order.in_flight)
    cpu_before, started = cpu_s(), perf_counter()
    await keep_in_flight(engine, job, order.runs, order.in_flight)
    elapsed, cpu = perf_counter() - started, cpu_s() - cpu_before
    durability = asdict(engine.durability())
    await engine.close()
    steps = order.runs * STEPS_PER_NOOP_RUN
    return {
        "steps_per_s": steps / elapsed,
        "cpu_s_per_1000_steps": cpu / steps * 1000,
        "store_bytes": store_bytes(store),
        "store_runs": order.runs + warm_up_runs,
        **durability,
    }


async def empty(engine: Engine, order: Order) -> dict[str, float | str]:
    """Size of a store without runs."""
    await engine.open(Path(order.store), order.options())
    await engine.close()
    return {"store_bytes": store_bytes(Path(order.store))}


async def start(engine: Engine, order: Order) -> dict[str, float | str]:
    """From the call of start to the result in hand, of runs of one step, one after the other."""
    await engine.open(Path(order.store), order.options())
    job = Job("steps", (1,))
    for _ in range(order.runs // 10):
        await engine.run(job)
    latencies_ms = []
    for _ in range(order.runs):
        started = perf_counter()
        await engine.run(job)
        latencies_ms.append((perf_counter() - started) * 1000)
    await engine.close()
    latencies_ms.sort()
    last = len(latencies_ms) - 1
    return {"p50_ms": latencies_ms[last // 2], "p99_ms": latencies_ms[round(last * 0.99)]}


async def fan_out(engine: Engine, order: Order) -> dict[str, float | str]:
    """From start to result of one run with many parallel steps: the median of ``runs`` such runs."""
    await engine.open(Path(order.store), order.options())
    await engine.run(Job("fan_out", (order.steps // 10,)))
    times_ms = []
    for _ in range(order.runs):
        started = perf_counter()
        await engine.run(Job("fan_out", (order.steps,)))
        times_ms.append((perf_counter() - started) * 1000)
    await engine.close()
    return {"ms": sorted(times_ms)[len(times_ms) // 2]}


def edges_us(starts: list[float]) -> dict[str, float | str]:
    """Microseconds per step at the beginning and at the end of a long run, and their ratio."""
    edge = min(EDGE_STEPS, (len(starts) - 1) // 2)
    first = (starts[edge] - starts[0]) / edge * 1e6
    last = (starts[-1] - starts[-1 - edge]) / edge * 1e6
    return {"first_us": first, "last_us": last, "last_to_first": last / first}


async def growth(engine: Engine, order: Order) -> dict[str, float | str]:
    """Run up to the gate step near the end, say so, and wait there to be killed."""
    await engine.open(Path(order.store), order.options())
    await warm_up_long(engine)

    async def wait_for_the_kill() -> None:
        emit({"event": "at_gate", **edges_us(PROBE.step_starts)})
        await asyncio.Event().wait()

    PROBE.at_gate = wait_for_the_kill
    await engine.run(long_job(order.steps))
    raise AssertionError("the run passed a gate that never opens")


async def regrow(engine: Engine, order: Order) -> dict[str, float | str]:
    """After the kill: how long until the gate step, the first that is not recorded, executes again."""
    reached: list[float] = []

    async def note_the_time() -> None:
        reached.append(perf_counter())
        emit({"event": "next_step"})

    PROBE.at_gate = note_the_time
    opened = perf_counter()
    await engine.open(Path(order.store), order.options())
    await engine.wait_all([long_job(order.steps)])
    executed = len(PROBE.step_starts)
    await engine.close()
    return {
        "open_to_next_step_ms": (reached[0] - opened) * 1000,
        "replay_ms": (reached[0] - PROBE.body_entries[0]) * 1000,
        "repeated_steps": executed - GATE_DISTANCE,
    }


def long_job(steps: int) -> Job:
    """The one long run, with its gate."""
    return Job("long", (steps, steps - GATE_DISTANCE), LONG_RUN_ID)


async def warm_up_long(engine: Engine) -> None:
    """A short run first, so that the first steps of the long one do not pay for caches being filled."""
    await engine.run(Job("long", (EDGE_STEPS, -1), "warm-up"))
    PROBE.step_starts.clear()
    PROBE.body_entries.clear()


async def long(engine: Engine, order: Order) -> dict[str, float | str]:
    """One very long run from end to end."""
    await engine.open(Path(order.store), order.options())
    await warm_up_long(engine)
    started = perf_counter()
    await engine.run(Job("long", (order.steps, -1), LONG_RUN_ID))
    elapsed = perf_counter() - started
    await engine.close()
    return {"s": elapsed, **edges_us(PROBE.step_starts)}


def slow_jobs(order: Order) -> list[Job]:
    """The runs of the recovery workload; every run knows its id, for the log."""
    ids = [f"slow-{number}" for number in range(order.runs)]
    return [Job("slow_steps", (run_id, order.steps), run_id) for run_id in ids]


async def recovery(engine: Engine, order: Order) -> dict[str, float | str]:
    """Start all runs at once; the parent kills this process half-way.

    The first steps wait for each other, so that at the kill every run is durably started and about half done, on any
    engine.
    """
    PROBE.log = ExecutionLog(Path(order.log))
    PROBE.barrier = Barrier(order.runs)
    await engine.open(Path(order.store), order.options())
    async with asyncio.TaskGroup() as group:
        for job in slow_jobs(order):
            group.create_task(engine.run(job))
    return {"finished_before_the_kill": 1.0}


async def recover(engine: Engine, order: Order) -> dict[str, float | str]:
    """Come back after the kill and finish all runs."""
    PROBE.log = ExecutionLog(Path(order.log))
    await engine.open(Path(order.store), order.options())
    emit({"event": "opened"})
    await engine.wait_all(slow_jobs(order))
    emit({"event": "all_done"})
    await engine.close()
    return {}


async def committed(engine: Engine, order: Order) -> dict[str, Any]:
    """The completed steps that a store file, copied right after the kill, holds."""
    return {"steps": sorted(await engine.committed_steps(Path(order.store)))}


async def footprint(engine: Engine, order: Order) -> dict[str, float | str]:
    """Resident memory of a process that has opened the engine, registered its workflows and does nothing."""
    await engine.open(Path(order.store), order.options())
    await asyncio.sleep(1)
    status = Path("/proc/self/status").read_text()
    resident_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    await engine.close()
    return {"rss_mb": resident_kb * 1024 / 1e6}


async def cold_start(engine: Engine, order: Order) -> dict[str, float | str]:
    """Open a new store and finish one run of one step."""
    await engine.open(Path(order.store), order.options())
    await engine.run(Job("steps", (1,)))
    emit({"event": "first_run"})
    await engine.close()
    return {}


WORKLOADS: dict[str, Callable[[Engine, Order], Awaitable[dict[str, Any]]]] = {
    work.__name__: work
    for work in (
        noop, empty, start, fan_out, growth, regrow, long, recovery, recover, committed, footprint, cold_start
    )
}  # fmt: skip


def main(engine: Engine) -> None:
    """Carry out the order given as JSON in the only argument."""
    order = Order(**json.loads(sys.argv[1]))

    async def work() -> None:
        emit({"result": await WORKLOADS[order.workload](engine, order)})

    with asyncio.Runner(loop_factory=loop_factory(order.loop)) as runner:
        runner.run(work())


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop both engines run on; None is asyncio's own."""
    if name != "uvloop":
        return None
    import uvloop  # An optional extra: only loaded when asked for.

    return uvloop.new_event_loop
