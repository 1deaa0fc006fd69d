"""Two servers over one PostgreSQL, three workers, and everything that happens to them: the promises hold.

`make test` plays a short piece of it, `make chaos` all of it (``AETERNA_CHAOS=1``), with results as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.cluster.checker import longest_standstill_us, violations
from tests.cluster.client import Client, plan_runs
from tests.cluster.credentials import make_credentials
from tests.cluster.hosts import can_have_spaces, relayed_hosts, spaced_hosts
from tests.cluster.nemesis import Nemesis
from tests.cluster.observed import Observed
from tests.cluster.program import build
from tests.cluster.results import IS_CHAOS, record
from tests.cluster.world import Cluster, Shape, on_this_host
from tests.stores.postgres_server import PostgresServer

RUNS, RAGE_S, ROUNDS = (500, 60.0, 5) if IS_CHAOS else (120, 8.0, 1)
STEP_S = 0.05
"""Long enough that a disturbance finds runs under way."""
ON_ONE_HOST = ("kill_worker", "kill_server", "freeze_worker", "crash_postgres", "worker_leaves")
ON_SEVERAL_HOSTS = ("cut_worker", "cut_server", "kill_worker", "freeze_worker")
WAYS = {"relays": relayed_hosts, **({"namespaces": spaced_hosts} if can_have_spaces() else {})}
END_S = 90.0

pytestmark = pytest.mark.timeout(0 if IS_CHAOS else 240)


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A database of its own: it is going to crash."""
    with PostgresServer() as server:
        yield server


def explained(found: list[str], seen: Observed) -> list[str]:
    """What was violated, and the rows of two of the runs that it is about."""
    broken = {version.run_id for version in seen.versions if any(f" {version.run_id}" in each for each in found)}
    versions = [str(version) for version in seen.versions if version.run_id in sorted(broken)[:2]]
    return [*found[:40], *versions[:60]]


async def play(folder: Path, postgres: PostgresServer, shape: Shape, kinds: tuple[str, ...], seed: int) -> None:
    """One scenario: runs begin while the nemesis rages, everything ends, and nothing was violated."""
    planned = plan_runs(rng := Random(seed), RUNS, RAGE_S)
    async with Cluster(folder, postgres, shape) as cluster:
        app = build(shape.credentials.server(cluster.server_list))
        client, nemesis = Client(app), Nemesis(cluster, rng, kinds)
        try:
            async with asyncio.timeout(RAGE_S + END_S), asyncio.TaskGroup() as group:
                group.create_task(nemesis.rage(RAGE_S))
                results = group.create_task(client.play(planned))
        except* TimeoutError:
            results = None
        finally:
            await app.close()
        seen = await cluster.observe(planned, client)
        found = violations(seen)
        record(
            f"cluster {'-'.join(kinds)} {type(shape.workers[0]).__name__} {seed}",
            runs=len(planned), disturbances=dict(nemesis.done), retries=client.retries, violations=found,
            longest_standstill_s=longest_standstill_us(seen) / 1e6,
            executions=len(seen.executions), versions=len(seen.versions),
        )  # fmt: skip
        words = "\n".join([f"seed {seed}, {dict(nemesis.done)}", *explained(found, seen), cluster.words()])
    assert not found, words
    assert results is not None, words
    assert results.result() == seen.expected


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_cluster_keeps_its_promises_while_its_processes_die(
    seed: int, tmp_path: Path, postgres: PostgresServer
) -> None:
    """kill -9 of workers and of servers, a worker stopped past its lease that comes back, the database restarted."""
    await play(tmp_path, postgres, on_this_host(servers=2, workers=3, step_s=STEP_S), ON_ONE_HOST, seed)


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("way", WAYS)
async def test_a_cluster_keeps_its_promises_while_its_links_are_cut(
    way: str, seed: int, tmp_path: Path, postgres: PostgresServer
) -> None:
    """Workers and servers that nobody can reach for a while, each on a host of its own; a worker that comes back when
    others have its runs writes nothing."""
    with WAYS[way](5) as hosts:
        credentials = make_credentials(tmp_path, ["127.0.0.1", *{host.address for host in hosts}])
        shape = Shape(hosts[:2], hosts[2:], STEP_S, credentials)
        await play(tmp_path, postgres, shape, ON_SEVERAL_HOSTS, seed)
