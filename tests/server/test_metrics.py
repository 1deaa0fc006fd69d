"""Every metric moves: a workload that touches all of them, read before and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import httpx

from aeterna import App
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.wire.generated import worker_pb2
from aeterna.durable.wire.services import CHANNEL_OPTIONS, Caller
from aeterna.server.options import ServeOptions
from aeterna.server.serving import Addresses, serving
from tests.docs.pages import read_page, table

NAMES = [row[0].strip("`") for row in table(read_page("docs/reference/metrics.md"), "Metrics of the server")]
Numbers = dict[str, float]


class Place:
    """A server that sets a run aside as soon as one worker has died with it."""

    def __init__(self, addresses: Addresses, http: httpx.AsyncClient, call: Caller) -> None:
        self.addresses, self.http, self.call = addresses, http, call

    async def numbers(self) -> Numbers:
        """Every sample, by its name and labels."""
        text = (await self.http.get(f"http://{self.addresses.metrics}/metrics")).text
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    async def until(self, condition: Callable[[Numbers], bool]) -> Numbers:
        async with asyncio.timeout(30):
            while not condition(found := await self.numbers()):
                pass
        return found

    async def start(self, workflow: str, **more: object) -> str:
        answer = await self.http.post("/api/workflows?namespace=orders", json={"workflow": workflow, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["run"]["id"])


@asynccontextmanager
async def measured() -> AsyncIterator[Place]:
    options = ServeOptions(
        grpc_port=0, http_port=0, metrics_port=0, coordinator=CoordinatorOptions(crash_limit=1, look_s=0.05)
    )
    async with (
        serving(MemoryNamespaces(), options) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=30) as http,
        grpc.aio.insecure_channel(addresses.grpc, options=CHANNEL_OPTIONS) as channel,
    ):
        yield Place(addresses, http, Caller(channel))


def sample(numbers: Numbers, name: str, **labels: str) -> float:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return numbers.get(f"{name}{{{inside}}}", 0.0)


async def die_with_a_run(place: Place) -> None:
    """A worker takes the run of workflow ``doomed`` and is gone without a word."""
    stream = place.call("WorkerService", "Session")(timeout=30)
    choice = {"workflows": [{"name": "doomed", "version": "1"}]}
    hello = worker_pb2.Hello(namespace="orders", choice=choice)
    await stream.write(worker_pb2.WorkerFrame(hello=hello))
    await stream.write(worker_pb2.WorkerFrame(credits=worker_pb2.Credits(room=1)))
    while not (await stream.read()).deliveries:
        pass
    stream.cancel()


def moved(name: str, before: Numbers, after: Numbers) -> bool:
    """Some sample of the metric, whatever its labels, differs; of a histogram, the number of what it observed."""
    names = {name, f"{name}_count"}
    keys = [key for key in after if key.partition("{")[0] in names]
    return any(after[key] != before.get(key, 0.0) for key in keys)


class Work:
    """A program whose step waits to be let go on."""

    def __init__(self, server: str) -> None:
        self.app = app = App("orders", server=server)
        self.going, self.go_on = asyncio.Event(), asyncio.Event()

        @app.step
        async def slow() -> int:
            self.going.set()
            await self.go_on.wait()
            return 1

        @app.workflow
        async def work(ctx) -> int:
            return await slow()

        @app.workflow
        async def ask(ctx) -> str:
            return await ctx.wait_signal("word")


def is_settled(found: Numbers) -> bool:
    """One run is set aside, and one has the queue's only place."""
    stuck = sample(found, "aeterna_runs_stuck", namespace="orders")
    return stuck == sample(found, "aeterna_queue_running", namespace="orders", queue="q") == 1


async def be_overtaken(place: Place, work: Work) -> None:
    """A run is ended while its worker is in a step of it, which learns that from the fence."""
    run_id = await place.start("work")
    await work.going.wait()
    await place.http.post(f"/api/workflows/{run_id}/terminate", json={"reason": "test"})
    work.go_on.set()
    await place.until(lambda found: sample(found, "aeterna_writes_fenced_total", namespace="orders") > 0)


async def test_every_metric_of_the_reference_moves() -> None:
    async with measured() as place:
        work, before = Work(place.addresses.grpc), await place.numbers()
        await place.http.put("/api/queues/q?namespace=orders", json={"concurrency": 1})
        async with work.app:
            await be_overtaken(place, work)
            finished = await place.start("work")
            assert (await place.http.get(f"/api/workflows/{finished}/result")).json()["result"] == 1
            queued = [await place.start("ask", queue="q") for _ in range(2)]
            await place.http.post(f"/api/workflows/{queued[0]}/signal", json={"name": "other"})
            await place.start("doomed")
            await die_with_a_run(place)
            after = await place.until(is_settled)
    # Workers hand runs over only while one has clearly more than its share, which has a test of its own.
    assert [name for name in NAMES if not moved(name, before, after)] == ["aeterna_runs_handed_over"]
    labels = {"namespace": "orders", "state": "COMPLETED"}
    assert sample(after, "aeterna_runs_ended_total", **labels) == sample(after, "aeterna_runs", **labels) == 1
    assert sample(after, "aeterna_queue_pending", namespace="orders", queue="q") == 1
    assert sample(after, "aeterna_sessions", namespace="orders") == 1
    assert sample(after, "aeterna_step_seconds_count", namespace="orders") == 1
    writes = sample(after, "aeterna_commit_writes_sum", namespace="orders")
    assert writes >= sample(after, "aeterna_commit_seconds_count", namespace="orders") > 0
