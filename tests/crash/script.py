"""A plain script, as a user would write it: ``python -m tests.crash.script JOB`` runs one nap with `App.run`."""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec

from aeterna import App
from aeterna.durable.stores.sqlite import SqliteStore
from tests.crash.execution_log import ExecutionLog
from tests.crash.job import Job
from tests.crash.jobs import define_jobs
from tests.crash.scenarios import say
from tests.crash.worker import LIFE_S_MAX


async def open_again(job: Job) -> None:
    store = SqliteStore(job.store)
    await store.open()
    await store.close()


def main(job: Job) -> None:
    app = App("crash", store=f"sqlite:///{job.store}")
    jobs = define_jobs(app, ExecutionLog(job.log, echo=True), job.step_s, job.nap_s)
    try:
        result = app.run(jobs.nap.options(workflow_id="nap"), 3)
    except KeyboardInterrupt:
        # Raises if the interrupted engine still held the store.
        asyncio.run(open_again(job))
        say("interrupted nap")
        raise
    say("result nap", str(result))


if __name__ == "__main__":
    signal.alarm(LIFE_S_MAX)
    main(msgspec.json.decode(sys.argv[1], type=Job))
