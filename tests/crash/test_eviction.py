"""More runs than the memory may hold: they leave it while they wait, and come back from their histories."""

from __future__ import annotations

import asyncio

import pytest

from aeterna import App, Limits, WorkflowCancelledError
from aeterna.durable.core import events as ev
from tests.crash.checker import check_finished, read_store
from tests.crash.execution_log import END, MARK, START, ExecutionLog
from tests.crash.jobs import Jobs, define_jobs

DEADLINE_S = 20


@pytest.fixture
def log(tmp_path):
    return ExecutionLog(tmp_path / "executions")


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store.db"


def opened(store, log, limits: Limits, nap_s: float = 0.05) -> tuple[App, Jobs]:
    app = App("crash", store=f"sqlite:///{store}", limits=limits)
    return app, define_jobs(app, log, nap_s=nap_s)


async def test_sleeping_runs_beyond_the_limit_leave_memory_and_finish_right(store, log):
    """Fifty runs sleep where five may stay. All results are right, no step ran twice, ``finally`` blocks ran at each
    eviction as well as at the end."""
    app, jobs = opened(store, log, Limits(resident_runs_max=5), nap_s=0.2)
    async with app, asyncio.timeout(DEADLINE_S):
        handles = [await jobs.nap.options(workflow_id=f"nap-{n}").start(n) for n in range(50)]
        assert [await handle.result() for handle in handles] == [4 * n for n in range(50)]
    for name in ("before", "after"):
        assert log.count(START, name) == log.count(END, name) == 50
    view = await asyncio.to_thread(read_store, store)
    check_finished(view)
    comings = sum(isinstance(event, ev.RunStarted) for history in view.histories.values() for event in history)
    assert comings >= 50 + 40, "hardly any run was evicted"
    assert log.count(MARK, "left") == comings


async def test_parents_get_the_results_of_their_children_however_small_the_memory(store, log):
    """A tree of 1 + 3 + 9 + 27 runs in a memory for three. A parent that left memory comes back when a child of it has
    ended, and not again and again for nothing."""
    app, jobs = opened(store, log, Limits(resident_runs_max=3))
    async with app, asyncio.timeout(DEADLINE_S):
        assert await jobs.family.options(workflow_id="root").start_and_wait(3, 3) == [4] * 27
    view = await asyncio.to_thread(read_store, store)
    assert len(view.rows) == 1 + 3 + 9 + 27
    check_finished(view)
    assert log.count(START, "leaf") == 27
    for history in view.histories.values():
        assert sum(isinstance(event, ev.RunStarted) for event in history) <= 1 + 3


@pytest.mark.parametrize("residents", [2, 10_000])
async def test_parents_that_wait_do_not_starve_their_children(store, log, residents):
    """Two runs may execute at a time, and the tree is deeper than that. Waiting for a child is not executing."""
    app, jobs = opened(store, log, Limits(running_runs_max=2, resident_runs_max=residents))
    async with app, asyncio.timeout(DEADLINE_S):
        assert await jobs.family.options(workflow_id="root").start_and_wait(4, 2) == [3] * 16
    check_finished(await asyncio.to_thread(read_store, store))


async def test_an_evicted_run_can_be_cancelled(store, log):
    """Cancelled while it sleeps outside of memory, a run ends at once and not when its sleep is over."""
    app, jobs = opened(store, log, Limits(resident_runs_max=1), nap_s=1000)
    async with app, asyncio.timeout(DEADLINE_S):
        handles = [await jobs.nap.options(workflow_id=f"nap-{n}").start(n) for n in range(10)]
        # Room for one: the last of them has begun to sleep when those before have left.
        await until_started(jobs, log, 10)
        for handle in handles:
            await handle.cancel("enough")
        for handle in handles:
            with pytest.raises(WorkflowCancelledError, match="enough"):
                await handle.result()
    check_finished(await asyncio.to_thread(read_store, store))


async def until_started(jobs: Jobs, log: ExecutionLog, count: int) -> None:
    """Until that many first steps have ended; each further run makes the engine evict."""
    number = 0
    while log.count(END, "before") < count:
        number += 1
        await jobs.errand.options(workflow_id=f"errand-{number}").start_and_wait(number)
