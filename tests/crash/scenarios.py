"""What a worker does in its life: which runs it starts, what it acknowledges, and where it waits for its end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aeterna import App, Handle, WorkflowCancelledError
from aeterna.durable.core.states import Detail
from aeterna.durable.stores.contract import RunQuery
from aeterna.kernel.errors import InvalidStateError
from aeterna.testing.crash import kill_process
from tests.crash.job import Job
from tests.crash.jobs import Jobs


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario gets."""

    job: Job
    app: App
    jobs: Jobs


def say(*words: str) -> None:
    """Acknowledge something: out of this process before this returns."""
    os.write(1, (" ".join(words) + "\n").encode())


async def told(handle: Handle[Any]) -> None:
    say("started", handle.id)
    say("result", handle.id, json.dumps(await handle.result(), sort_keys=True))


async def journey(stage: Stage) -> None:
    """An errand, whose result is soon acknowledged, beside a journey through every kind of part."""
    errand = await stage.jobs.errand.options(workflow_id="errand").start(3)
    travel = await stage.jobs.journey.options(workflow_id="journey").start(1)
    await asyncio.gather(told(errand), told(travel))


async def crowd(stage: Stage) -> None:
    """Many journeys at once."""
    ids = [f"journey-{number}" for number in range(stage.job.runs)]
    await asyncio.gather(*[told(await stage.jobs.journey.options(workflow_id=run_id).start(1)) for run_id in ids])


async def naps(stage: Stage) -> None:
    """Many runs that sleep."""
    ids = [f"nap-{number}" for number in range(stage.job.runs)]
    await asyncio.gather(*[told(await stage.jobs.nap.options(workflow_id=run_id).start(1)) for run_id in ids])


async def cancelled(stage: Stage) -> None:
    """Cancel a run that sleeps and waits for a child that sleeps, and stay until it has ended."""
    handle = await stage.jobs.guarded.options(workflow_id="guarded").start(1)
    # By the time three errands are done, it sleeps.
    for number in range(3):
        await stage.jobs.errand.options(workflow_id=f"errand-{number}").start_and_wait(number)
    with suppress(InvalidStateError):
        await handle.cancel("enough")
    say("cancelled", handle.id)
    await resumed(stage)


async def resumed(stage: Stage) -> None:
    """Start nothing; stay until all runs that an earlier life left have ended."""
    engine = await stage.app.engine()
    for row in (await engine.store.list_runs(RunQuery())).rows:
        handle = stage.app.handle(row.id)
        with suppress(WorkflowCancelledError):
            await handle.result()
        say("result", row.id, (await handle.status()).state.value)


async def chain(stage: Stage) -> None:
    await told(await stage.jobs.chain.options(workflow_id="chain").start(stage.job.length))


async def chain_asleep(stage: Stage) -> None:
    """Die when the chain sleeps."""
    handle = await stage.jobs.chain.options(workflow_id="chain").start(stage.job.length)
    while (await handle.status()).detail is not Detail.SLEEPING:
        await stage.jobs.errand.start_and_wait(1)
    kill_process()


async def chain_told(stage: Stage) -> None:
    """Die when the chain's result is told."""
    await chain(stage)
    kill_process()


async def slow_chain(stage: Stage) -> None:
    await told(await stage.jobs.slow_chain.options(workflow_id="chain").start(stage.job.length))


async def bills(stage: Stage) -> None:
    await told(await stage.jobs.bills.options(workflow_id="bills").start(1))


SCENARIOS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    play.__name__: play
    for play in (journey, crowd, naps, cancelled, resumed, chain, chain_asleep, chain_told, slow_chain, bills)
}
