"""Workers that join and leave a real cluster: the load follows them, and nothing is executed twice because of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from aeterna.durable.stores.postgres import PostgresStore
from aeterna.kernel.clock import sleep
from tests.cluster.checker import longest_standstill_us, violations
from tests.cluster.client import Client, PlannedRun
from tests.cluster.program import NAMESPACE, STEPS, build
from tests.cluster.world import Cluster, on_this_host
from tests.stores.postgres_server import PostgresServer

RUNS = 40
STEP_S = 0.5
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def postgres():
    with PostgresServer() as server:
        yield server


@asynccontextmanager
async def loaded_cluster(folder, postgres, servers):
    """One worker that has all runs, and they have begun."""
    planned = [PlannedRun(f"plain-{number}", "plain", 0.0) for number in range(RUNS)]
    shape = on_this_host(servers, 1, STEP_S)
    async with Cluster(folder, postgres, shape) as cluster:
        # There is a place for another one, beside another server if there are several.
        cluster.shape = replace(shape, workers=[*shape.workers] * (servers + 1))
        app = build(cluster.server_list)
        client = Client(app)
        playing = asyncio.ensure_future(client.play(planned))
        try:
            await until(lambda: len({each.run_id for each in cluster.executions.read()}) == RUNS)
            yield cluster, client, planned, playing
        finally:
            playing.cancel()
            await asyncio.wait([playing])
            await app.close()


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await sleep(0.02)


async def holding(postgres):
    """How many runs each worker has, by its process."""
    store = PostgresStore(postgres.url, NAMESPACE)
    await store.open()
    try:
        return {row.pid: row.runs for row in await store.list_sessions() if "server" not in row.about}
    finally:
        await store.close()


@pytest.mark.parametrize("servers", [1, 2])
async def test_a_worker_that_joins_gets_half_of_the_runs_and_no_step_is_executed_twice(servers, tmp_path):
    """Also where it joins another server than the one that the loaded worker is at."""
    with PostgresServer() as postgres:
        async with loaded_cluster(tmp_path, postgres, servers) as (cluster, client, planned, playing):
            joining = cluster.start_worker(servers)
            cluster.workers.append(joining)
            counts = {}
            async with asyncio.timeout(PATIENCE_S):
                while not RUNS * 3 / 8 <= counts.get(joining.pid, 0) <= RUNS * 5 / 8:
                    assert not playing.done(), f"all runs ended, and the last time it had {counts}"
                    counts = await holding(postgres)
            assert await playing == dict.fromkeys((each.id for each in planned), STEPS)
            seen = await cluster.observe(planned, client)
    assert violations(seen) == []
    attempts = Counter((each.run_id, each.occurrence) for each in seen.executions)
    assert set(attempts.values()) == {1}
    assert len(attempts) == RUNS * STEPS
    owners = Counter(version.run_id for version in seen.versions if version.epoch > 2)
    assert not owners, f"runs that moved more than once: {owners}"


async def test_the_runs_of_a_worker_that_leaves_go_on_elsewhere_at_once(tmp_path, postgres):
    """It says goodbye, so nobody waits for a lease."""
    async with loaded_cluster(tmp_path, postgres, 1) as (cluster, client, planned, playing):
        cluster.workers.append(cluster.start_worker(1))
        leaving, staying = cluster.workers
        await until(lambda: any(each.pid == staying.pid for each in cluster.executions.read()))
        assert await asyncio.to_thread(leaving.end) == 0
        assert set((await holding(postgres)).values()) == {RUNS}
        assert await playing == dict.fromkeys((each.id for each in planned), STEPS)
        seen = await cluster.observe(planned, client)
    assert violations(seen) == []
    assert longest_standstill_us(seen) < seen.lease_us
