"""The program that gets killed.

``python -m tests.crash.worker JOB`` lives once; ``python -m tests.crash.worker`` reads one job per line from its
standard input and lives it in a forked process of its own, which spares each life the start of Python, and answers with
the pid and how it ended. A job is a JSON object, the fields of `Job`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from pathlib import Path

import msgspec

from aeterna import App, Durability, Level, Limits
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.testing.crash import KillingStore
from tests.crash.execution_log import ExecutionLog
from tests.crash.job import Job
from tests.crash.jobs import define_jobs
from tests.crash.scenarios import SCENARIOS, Stage, say

LIFE_S_MAX = 15
"""A life that hangs is ended by SIGALRM, which no test takes for the SIGKILL it asked for."""


async def live(job: Job) -> None:
    """One whole life; the last thing it says is how many commits and writes it took."""
    durability = Durability(Level(job.level), job.snapshot_steps, job.snapshot_ms)
    is_kept = durability.level is not Level.MEMORY
    inner = SqliteStore(job.store, "crash") if is_kept else MemoryStore("crash")
    store = inner if job.bare else KillingStore(inner, job.crash_point, split=job.split)
    app = App("crash", store=store, persistence=durability, limits=Limits(resident_runs_max=job.residents))
    log = ExecutionLog(job.log, echo=not job.output, die_in=job.die_in)
    jobs = define_jobs(app, log, job.step_s, job.nap_s)
    async with app:
        await SCENARIOS[job.scenario](Stage(job, app, jobs))
    if isinstance(store, KillingStore):
        say("counted", str(store.commits), str(store.writes))


def live_and_exit(job: Job) -> None:
    """The forked process."""
    code = 1
    try:
        signal.alarm(LIFE_S_MAX)
        if job.output:
            os.dup2(os.open(Path(job.directory) / job.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
        asyncio.run(live(job))
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def serve() -> None:
    """Live the jobs on the standard input, one at a time."""
    for line in sys.stdin:
        job = msgspec.json.decode(line, type=Job)
        pid = os.fork()
        if pid == 0:
            live_and_exit(job)
        _, status = os.waitpid(pid, 0)
        say(str(pid), str(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    if sys.argv[1:]:
        signal.alarm(LIFE_S_MAX)
        asyncio.run(live(msgspec.json.decode(sys.argv[1], type=Job)))
    else:
        serve()
