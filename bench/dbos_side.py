"""DBOS as a measured engine: async steps and workflows on a SQLite file, in one process, without Conductor.

The settings are those of its documentation; what differs from them only makes it quieter (log level) or lets it recover
(a fixed application version and executor id, so that a restarted process takes up its own pending runs at launch).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID

from bench import jobs
from bench.child_main import main
from bench.engine import SYNCHRONOUS_NAMES, Durability, EngineOptions, Job
from bench.jobs import PROBE

COMMIT_POLL_S = 0.002

noop = DBOS.step()(jobs.noop)
slow = DBOS.step()(jobs.slow)
counted = DBOS.step()(jobs.counted)


@DBOS.workflow()
async def steps(count: int) -> int:
    """No-op steps in a row."""
    for index in range(count):
        await noop(index)
    return count


@DBOS.workflow()
async def fan_out(count: int) -> int:
    """No-op steps in parallel."""
    return len(await asyncio.gather(*[noop(index) for index in range(count)]))


@DBOS.workflow()
async def slow_steps(run: str, count: int) -> int:
    """100 ms steps in a row."""
    for index in range(count):
        await slow(run, index)
    PROBE.leave_body()
    return count


@DBOS.workflow()
async def long(count: int, gate_index: int) -> int:
    """Counted steps in a row, with a gate."""
    PROBE.enter_body()
    for index in range(count):
        await counted(index, gate_index)
    PROBE.leave_body()
    return count


WORKFLOWS: dict[str, Callable[..., Coroutine[Any, Any, int]]] = {
    "steps": steps,
    "fan_out": fan_out,
    "slow_steps": slow_steps,
    "long": long,
}


class DbosEngine:
    """DBOS in this process. Launched inside the running loop, so that recovered runs execute on it as well."""

    def __init__(self) -> None:
        self._store = Path()
        self._dbos: DBOS | None = None

    async def open(self, store: Path, options: EngineOptions) -> None:
        """Launch; an unfinished run is put back into DBOS's internal queue and taken from there."""
        self._store = store
        if options.dbos_journal != "delete" and not store.exists():
            with sqlite3.connect(store) as connection:
                connection.execute(f"PRAGMA journal_mode={options.dbos_journal}")
            connection.close()
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": f"sqlite:///{store}",
            "log_level": "ERROR",
            "application_version": "1",
            "executor_id": "local",
        }
        self._dbos = DBOS(config=config)
        DBOS.launch()

    async def close(self) -> None:
        """Shut down; every run of the workload has finished by now."""
        DBOS.destroy()

    async def run(self, job: Job) -> object:
        """Start a run and wait for its result, on the handle that holds the run's own task."""
        workflow = WORKFLOWS[job.workflow]
        if job.run_id is None:
            handle = await DBOS.start_workflow_async(workflow, *job.args)
        else:
            with SetWorkflowID(job.run_id):
                handle = await DBOS.start_workflow_async(workflow, *job.args)
        return await handle.get_result()

    async def wait_all(self, jobs: Sequence[Job]) -> None:
        """Wait for the bodies to return, then for the commits. DBOS's own handles of recovered runs poll the database
        once a second each, which would cost it time; one query by a reader, only at the end, is kinder."""
        wanted = [str(job.run_id) for job in jobs]
        unfinished = len(wanted) - self._count_successes(wanted)
        while PROBE.bodies_left < unfinished:
            await PROBE.body_left.wait()
            PROBE.body_left.clear()
        while self._count_successes(wanted) < len(wanted):
            await asyncio.sleep(COMMIT_POLL_S)

    def _count_successes(self, run_ids: Sequence[str]) -> int:
        """How many of these runs have a committed result."""
        marks = ",".join("?" * len(run_ids))
        query = f"SELECT count(*) FROM workflow_status WHERE status = 'SUCCESS' AND workflow_uuid IN ({marks})"
        with sqlite3.connect(f"file:{self._store}?mode=ro", uri=True, timeout=30) as reader:
            row = reader.execute(query, run_ids).fetchone()
        reader.close()
        return int(row[0])

    def durability(self) -> Durability:
        """Asked on a connection of DBOS's own pool."""
        assert self._dbos is not None, "the engine is open"
        with self._dbos._sys_db.engine.connect() as connection:
            journal_mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        return Durability(str(journal_mode), SYNCHRONOUS_NAMES[int(synchronous)])

    async def committed_steps(self, store: Path) -> set[tuple[str, int]]:
        """From the table of step outputs; DBOS numbers the steps of a run from 1."""
        with sqlite3.connect(store) as reader:
            rows = reader.execute("SELECT workflow_uuid, function_id FROM operation_outputs").fetchall()
        reader.close()
        return {(run_id, number - 1) for run_id, number in rows}


if __name__ == "__main__":
    main(DbosEngine())
