"""How a namespace stands, and whether the server takes requests: what operators and probes look at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.wire.generated import admin_pb2
from aeterna.kernel.errors import StoreError
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from tests.server.world import World, served_in

SUMMARY = "/api/observability/summary"


async def test_the_summary_counts_the_backlog_of_each_queue_and_says_since_when(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        http = world.http
        await http.put("/api/queues/q", json={"concurrency": 1})
        for name in ("first", "second", "third"):
            await http.post("/api/workflows", json={"workflow": "asked", "args": ["hi"], "id": name, "queue": "q"})
        await http.post("/api/workflows", json={"workflow": "nobody has it", "id": "alone"})
        async with asyncio.timeout(20):
            while (summary := (await http.get(SUMMARY)).json())["runs"]["RUNNING"] != 1:
                pass
        oldest = (await http.get("/api/workflows/second")).json()["run"]["created_us"]
        assert summary["queue_backlog"] == {"q": 2, "": 1}
        assert (summary["pending"], summary["oldest_pending_us"], summary["workers"]) == (3, oldest, 1)
        assert summary["oldest_pending_s"] == (summary["at_us"] - oldest) / 1e6 > 0
        again = (await http.get(SUMMARY)).json()
        assert again["oldest_pending_s"] > summary["oldest_pending_s"]


@asynccontextmanager
async def busy(world: World, began: asyncio.Event, go_on: asyncio.Event) -> AsyncIterator[None]:
    """A worker that is in a step of run ``busy`` until it may go on."""
    app = world.app()

    @app.step
    async def slow() -> None:
        began.set()
        await go_on.wait()

    @app.workflow
    async def at_work(ctx) -> None:
        await slow()

    async with app:
        await at_work.options(workflow_id="busy").start()
        yield


async def test_a_run_that_waits_is_not_stuck_and_one_that_is_at_work_for_too_long_is(tmp_path: Path) -> None:
    """By the threshold that is asked for; over gRPC the same numbers."""
    began, go_on = asyncio.Event(), asyncio.Event()
    async with served_in(tmp_path) as world, busy(world, began, go_on):
        await world.http.post("/api/workflows", json={"workflow": "asked", "args": ["hi"], "id": "waits"})
        await began.wait()
        async with asyncio.timeout(20):
            while (await world.http.get("/api/workflows/waits")).json()["run"]["detail"] != "waiting_signal":
                pass
        stuck = (await world.http.get(SUMMARY, params={"stuck_after_s": 0})).json()
        assert (stuck["stuck_count"], stuck["stuck_run_ids"], stuck["stuck_after_s"]) == (1, ["busy"], 0)
        assert (await world.http.get(SUMMARY)).json()["stuck_count"] == 0
        request = admin_pb2.SummaryRequest(namespace="orders", stuck_after_seconds=1e-6)
        told = json.loads((await world.call("AdminService", "GetSummary")(request)).json)
        assert [each["id"] for each in told["stuck"]] == ["busy"]
        go_on.set()


class Silent(MemoryNamespaces):
    """A place that can be told not to answer."""

    trouble = False

    async def names(self) -> list[str]:
        """See `Namespaces.names`."""
        if self.trouble:
            raise StoreError("the disk is away")
        return await super().names()


async def test_a_server_whose_store_does_not_answer_lives_and_is_not_ready() -> None:
    place = Silent()
    async with (
        serving(place, ServeOptions(grpc_port=0, http_port=0)) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=20) as http,
    ):
        assert (await http.get("/ready")).status_code == 200
        place.trouble = True
        not_ready = await http.get("/ready")
        assert (not_ready.status_code, not_ready.json()) == (503, {"ready": False, "reason": "the disk is away"})
        assert (await http.get("/health")).status_code == 200
        place.trouble = False
        assert (await http.get("/ready")).status_code == 200
