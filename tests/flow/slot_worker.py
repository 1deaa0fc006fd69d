"""The program that gets killed: runs of a queue that has few slots.

``python -m tests.flow.slot_worker STORE LOG RUNS``: starts RUNS runs (those that exist are not started again) and
executes runs until it is killed, or until none is left and it prints ``done``. Every step writes a line to LOG when it
begins and one when it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from aeterna import App, Context
from aeterna.durable.core.states import State
from aeterna.kernel.clock import sleep

QUEUE = "narrow"
SLOTS = 2
STEP_S = 0.05
STEPS = 2


def define(store: str, log: Path) -> App:
    app = App("slots", store=store)
    app.queue(QUEUE, concurrency=SLOTS)

    def note(word: str, run: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{word} {run} {os.getpid()}\n")

    @app.step
    async def work(run: str, number: int) -> int:
        note("begin", run)
        await sleep(STEP_S)
        note("end", run)
        return number

    @app.workflow
    async def job(ctx: Context, run: str) -> None:
        for number in range(STEPS):
            await work(run, number)

    return app


async def main(store: str, log: Path, runs: int) -> None:
    app = define(store, log)
    job = app.find_workflow("job")
    async with app:
        for number in range(runs):
            run_id = f"run-{number}"
            await job.options(workflow_id=run_id, queue=QUEUE).start(run_id)
        print("started", flush=True)
        for number in range(runs):
            await app.handle(f"run-{number}").result()
        counts = await (await app.engine()).store.count_runs()
        assert counts == {State.COMPLETED: runs}, counts
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
