"""How the parent carries out a workload once on one system: which processes, when killed, what is timed from where.

Every process is fresh and has a store of its own; times across processes are taken by the parent's monotonic clock.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

from bench import execution_log
from bench.child import Child, ChildFailed, System
from bench.child_main import Order
from bench.execution_log import STARTED
from bench.jobs import SLOW_STEP_S
from bench.workloads import Procedure, Size, Workload

Metrics = dict[str, Any]
KILL_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all measurements of this invocation."""

    loop: str
    dbos_journal: str


def measure(workload: Workload, system: System, size: Size, setting: Setting, folder: Path) -> Metrics:
    """Carry out one workload once in an empty folder and return its metrics."""
    order = Order(
        workload=workload.work,
        store=str(folder / "store.db"),
        loop=setting.loop,
        level=workload.level,
        dbos_journal=setting.dbos_journal,
        log=str(folder / "executions.log"),
        runs=size.runs,
        in_flight=workload.in_flight,
        steps=size.steps,
    )
    return _procedure(workload.procedure)(system, order)


def _procedure(procedure: Procedure) -> Callable[[System, Order], Metrics]:
    match procedure:
        case Procedure.THROUGHPUT:
            return throughput
        case Procedure.ONE_PROCESS:
            return one_process
        case Procedure.GROWTH:
            return growth
        case Procedure.RECOVERY:
            return recovery
        case Procedure.COLD_START:
            return cold_start
        case _:
            assert_never(procedure)


def one_process(system: System, order: Order) -> Metrics:
    """One child that measures itself."""
    with Child(system, order) as child:
        return child.wait_result()


def throughput(system: System, order: Order) -> Metrics:
    """One child that measures itself; what an empty store occupies is taken off the bytes per run."""
    metrics = one_process(system, order)
    empty_store = str(Path(order.store).with_name("empty.db"))
    empty = one_process(system, replace(order, workload="empty", store=empty_store))
    metrics["bytes_per_run"] = (metrics["store_bytes"] - empty["store_bytes"]) / metrics["store_runs"]
    return metrics


def growth(system: System, order: Order) -> Metrics:
    """A long run, killed while it waits in a step near its end, then replayed by a new process."""
    with Child(system, order) as child:
        metrics = child.wait_event("at_gate")
        child.kill()
        killed_s = time.monotonic()
    with Child(system, replace(order, workload="regrow")) as child:
        child.wait_event("next_step")
        metrics["kill_to_next_step_ms"] = (time.monotonic() - killed_s) * 1000
        metrics |= child.wait_result()
    return metrics


def recovery(system: System, order: Order) -> Metrics:
    """Many runs, killed half-way, in the middle of a step, then taken up by a new process."""
    log, store = Path(order.log), Path(order.store)
    with Child(system, order) as child:
        _wait_for_finished(child, log, order.runs * (order.steps // 2))
        time.sleep(SLOW_STEP_S / 2)
        child.kill()
        killed_s, killed_pid = time.monotonic(), child.pid
    copy = _copy_store(store)
    with Child(system, replace(order, workload="recover")) as child:
        child.wait_event("opened")
        opened_s = time.monotonic()
        child.wait_event("all_done")
        done_s = time.monotonic()
        child.wait_result()
    committed = one_process(system, replace(order, workload="committed", store=str(copy)))
    return {
        "kill_to_all_done_s": done_s - killed_s,
        "kill_to_open_s": opened_s - killed_s,
        **_count_repeats(log, killed_pid, {(run, index) for run, index in committed["steps"]}),
    }


def _wait_for_finished(child: Child, log: Path, finished: int) -> None:
    """Return when the log holds this many finished executions."""
    while execution_log.count_finished(log) < finished:
        if child.ended():
            raise ChildFailed(f"the child to be killed ended by itself: {child.wait_result()}")
        time.sleep(KILL_POLL_S)


def _copy_store(store: Path) -> Path:
    """The store's files as the kill left them. The copy takes about a millisecond and is part of the measured time."""
    copy = store.with_name("killed.db")
    for suffix in ("", "-wal", "-journal"):
        file = store.with_name(store.name + suffix)
        if file.exists():
            shutil.copyfile(file, copy.with_name(copy.name + suffix))
    return copy


def _count_repeats(log: Path, killed_pid: int, committed: set[tuple[str, int]]) -> Metrics:
    """How many steps ran again: those whose completion was committed before the kill (a broken promise), and those in
    flight at the kill (allowed)."""
    lines = [line for line in execution_log.read(log) if line.what == STARTED]
    before = {(line.run, line.index) for line in lines if line.pid == killed_pid}
    after = {(line.run, line.index) for line in lines if line.pid != killed_pid}
    return {
        "repeated_steps": len(committed & after),
        "repeated_in_flight": len((before & after) - committed),
        "committed_at_kill": len(committed),
    }


def cold_start(system: System, order: Order) -> Metrics:
    """From the spawn of the process to its first finished run."""
    with Child(system, order) as child:
        child.wait_event("first_run")
        elapsed = time.monotonic() - child.spawned_s
        child.wait_result()
    return {"s": elapsed}
