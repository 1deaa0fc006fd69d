"""What a server costs that has nothing to do, and one on which very many runs sleep."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import CreateRun, QueueRow
from aeterna.durable.stores.opening import open_store
from aeterna.durable.stores.postgres import PostgresStore
from bench.server.aeterna_program import NAMESPACE
from bench.server.program import Program, cpu_s, resident_mb
from bench.server.sizes import Sizes
from bench.server.stacks import aeterna_server, postgres, workers
from tests.stores.postgres_server import PostgresServer

QUEUES = 10
SETTLE_S = 3.0
BATCH = 10_000
ROOT_TASK = "0"
DAY_US = 86_400_000_000
FIRST_DUE_S, SPREAD_S = 20.0, 20.0
"""So long after seeding the first sleepers are due, and so long it takes until all are that are due at all."""


def idle(system: str, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """A server over PostgreSQL with a worker and nothing to do, without queues and with some: processor time, and
    statements in all and for each queue."""
    without, with_queues = _idle(sizes, 0), _idle(sizes, QUEUES)
    per_queue = (with_queues["queries_per_s"] - without["queries_per_s"]) / QUEUES
    return {
        **with_queues,
        "queries_per_s_without_queues": without["queries_per_s"],
        "queries_per_s_per_queue": per_queue,
    }


def _idle(sizes: Sizes, queues: int) -> dict[str, Any]:
    with postgres() as database, aeterna_server(database.url) as (address, server), workers(address, 1) as (worker,):
        asyncio.run(_put_queues(database.url, queues))
        time.sleep(SETTLE_S)
        before, cpu_before, worker_before = _statements(database), cpu_s(server.pid), cpu_s(worker.pid)
        began = time.monotonic()
        time.sleep(sizes.idle_s)
        elapsed_s = time.monotonic() - began
        return {
            "server_cpu_percent": 100 * (cpu_s(server.pid) - cpu_before) / elapsed_s,
            "worker_cpu_percent": 100 * (cpu_s(worker.pid) - worker_before) / elapsed_s,
            "queries_per_s": (_statements(database) - before) / elapsed_s,
            "server_rss_mb": resident_mb(server.pid),
        }


async def _put_queues(url: str, count: int) -> None:
    """And have the database write down what it is asked from now on."""
    store = PostgresStore(url, NAMESPACE)
    await store.open()
    for number in range(count):
        await store.put_queue(QueueRow(f"queue-{number}", concurrency=5))
    await store.close()
    connection = await asyncpg.connect(url)
    for statement in ("ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()"):
        await connection.execute(statement)
    await connection.close()


def _statements(database: PostgresServer) -> int:
    """How many statements the database has been asked so far, by its own log."""
    return (database.directory / "log").read_text("utf-8", "replace").count("LOG:  execute")


def sleepers(system: str, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Very many runs that sleep until tomorrow, and some that are due soon: memory, and how late those wake."""
    log = folder / "woken"
    with postgres() as database:
        db = database.url if system.endswith("postgres") else f"sqlite:///{folder / 'store.db'}"
        began = time.monotonic()
        first_due_us = asyncio.run(_seed(db, sizes))
        seeded_s = time.monotonic() - began
        with aeterna_server(db) as (address, server), workers(address, 1, log=str(log)):
            ready_late_us = time.time_ns() // 1000 - first_due_us
            assert ready_late_us < 0, f"the server was ready {ready_late_us / 1e6} s after the first run was due"
            peak_mb = _watch(server, log, sizes, first_due_us)
        assert log.exists(), f"no run woke; the server says: {server.words()[-2000:]}"
        late_ms = sorted(int(line) / 1000 for line in log.read_text().splitlines())
    assert len(late_ms) == sizes.due_sleepers, f"{len(late_ms)} of {sizes.due_sleepers} runs woke"
    return {
        "server_peak_rss_mb": peak_mb,
        "late_p50_ms": late_ms[len(late_ms) // 2],
        "late_max_ms": late_ms[-1],
        "seed_s": seeded_s,
    }


def _watch(server: Program, log: Path, sizes: Sizes, first_due_us: int) -> float:
    peak_mb, end_us = 0.0, first_due_us + (SPREAD_S + 15) * 1e6
    while time.time_ns() // 1000 < end_us:
        peak_mb = max(peak_mb, resident_mb(server.pid))
        if log.exists() and log.read_text().count("\n") >= sizes.due_sleepers:
            break
        time.sleep(0.5)
    return peak_mb


async def _seed(db: str, sizes: Sizes) -> int:
    """Write the sleeping runs as a worker would have left them; the time at which the first is due."""
    store = open_store(db, NAMESPACE)
    await store.open()
    try:
        for start in range(0, sizes.sleepers, BATCH):
            tomorrow_us = time.time_ns() // 1000 + DAY_US
            numbers = range(start, min(start + BATCH, sizes.sleepers))
            await store.commit([_sleeping(f"late-{number}", tomorrow_us + number) for number in numbers])
        first_us = time.time_ns() // 1000 + int(FIRST_DUE_S * 1e6)
        spread_us = int(SPREAD_S * 1e6 / sizes.due_sleepers)
        due = [_sleeping(f"soon-{number}", first_us + number * spread_us) for number in range(sizes.due_sleepers)]
        for start in range(0, len(due), BATCH):
            await store.commit(due[start : start + BATCH])
        return first_us
    finally:
        await store.close()


def _sleeping(run_id: str, due_us: int) -> CreateRun:
    now_us = time.time_ns() // 1000
    arguments = codec.encode([[due_us], {}], "arguments", 1_000)
    events = (
        ev.RunCreated(now_us, "sleeper", "1", arguments),
        ev.RunStarted(now_us, 1),
        ev.TimerStarted(now_us, ROOT_TASK, "sleep", 1, due_us),
    )
    return CreateRun(run_id, "sleeper", "1", State.RUNNING, Detail.SLEEPING, owner=None, events=events, wake_us=due_us)
