"""Aeterna as a measured engine, through its public API alone, except where a store file is read after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import apsw

from aeterna import App, Context, Workflow
from bench import jobs
from bench.child_main import main
from bench.engine import SYNCHRONOUS_NAMES, Durability, EngineOptions, Job
from bench.jobs import PROBE

NAMESPACE = "bench"


def build(store: str, persistence: str) -> tuple[App, dict[str, Workflow[..., Any]]]:
    """An app on that store, and its workflows by name."""
    app = App(NAMESPACE, store=store, persistence=persistence)
    noop, slow, counted = app.step(jobs.noop), app.step(jobs.slow), app.step(jobs.counted)

    @app.workflow
    async def steps(ctx: Context, count: int) -> int:
        for index in range(count):
            await noop(index)
        return count

    @app.workflow
    async def fan_out(ctx: Context, count: int) -> int:
        return len(await ctx.parallel([lambda index=index: noop(index) for index in range(count)]))  # type: ignore[misc]

    @app.workflow
    async def slow_steps(ctx: Context, run: str, count: int) -> int:
        for index in range(count):
            await slow(run, index)
        return count

    @app.workflow
    async def long(ctx: Context, count: int, gate_index: int) -> int:
        PROBE.enter_body()
        for index in range(count):
            await counted(index, gate_index)
        return count

    return app, {workflow.name: workflow for workflow in app.workflows}


class AeternaEngine:
    """An app that is open in this process."""

    def __init__(self) -> None:
        self._exits = AsyncExitStack()
        self._workflows: dict[str, Workflow[..., Any]] = {}
        self._is_in_memory = False

    async def open(self, store: Path, options: EngineOptions) -> None:
        """Enter the app; the level decides between the file and a store in memory."""
        self._is_in_memory = options.level == "memory"
        app, self._workflows = build("memory:" if self._is_in_memory else f"sqlite:///{store}", options.level)
        await self._exits.enter_async_context(app)

    async def close(self) -> None:
        """Leave the app."""
        await self._exits.aclose()

    async def run(self, job: Job) -> object:
        """Start a run and wait for its result."""
        workflow = self._workflows[job.workflow]
        if job.run_id is not None:
            workflow = workflow.options(workflow_id=job.run_id)
        handle = await workflow.start(*job.args)
        return await handle.result()

    async def wait_all(self, jobs: Sequence[Job]) -> None:
        """Starting a run again under its id gives the handle of the one there is."""
        handles = [await self._workflows[job.workflow].options(workflow_id=job.run_id).start(*job.args) for job in jobs]
        for handle in handles:
            await handle.result()

    def durability(self) -> Durability:
        """Asked on the connection of this process that may write."""
        if self._is_in_memory:
            return Durability("none", "none")
        (writer,) = (each for each in apsw.connections() if not each.pragma("query_only"))
        return Durability(str(writer.pragma("journal_mode")), SYNCHRONOUS_NAMES[int(str(writer.pragma("synchronous")))])

    async def committed_steps(self, store: Path) -> set[tuple[str, int]]:
        """From the histories. A run of this workload calls one step in a row: its occurrence, from 1, is the index."""
        from aeterna.durable.core.events import StepCompleted
        from aeterna.durable.stores.contract import RunQuery
        from aeterna.durable.stores.opening import open_store

        opened = open_store(f"sqlite:///{store}", NAMESPACE)
        await opened.open()
        page = await opened.list_runs(RunQuery(limit=1_000_000))
        completed = {
            (row.id, event.occurrence - 1)
            for row in page.rows
            for event in await opened.history(row.id)
            if isinstance(event, StepCompleted)
        }
        await opened.close()
        return completed


if __name__ == "__main__":
    main(AeternaEngine())
