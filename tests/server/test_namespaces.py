"""A namespace comes to be when somebody starts something in it, and by nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from aeterna import App
from aeterna.durable.stores.contract import Namespaces, RunQuery
from aeterna.durable.stores.postgres.namespaces import PostgresNamespaces
from aeterna.durable.stores.remote.client import RemoteWorld
from aeterna.durable.stores.sqlite.store import SqliteNamespaces
from aeterna.durable.wire.generated import client_pb2, worker_pb2
from aeterna.durable.wire.services import CHANNEL_OPTIONS, SERVICES, Caller
from aeterna.server.options import ServeOptions
from aeterna.server.serving import Addresses, serving
from aeterna.server.verbs import VERBS
from tests.server.test_verbs import request_of

NOT_FOUND = grpc.StatusCode.NOT_FOUND
Places = Callable[[], Namespaces]

WRONG: list[tuple[str, str, Any]] = [
    ("POST", "/workflows", {"workflow": ""}),
    ("POST", "/workflows", {"workflow": "w", "debounce": True}),
    ("POST", "/workflows", {"workflow": "w\n"}),
    ("POST", "/workflows", None),
    ("POST", "/workflows/batch", {"starts": [{}]}),
    ("POST", "/workflows/signal-with-start", {"start": {"workflow": "w"}, "signal": {"name": "\n"}}),
    ("PUT", "/queues/q", {"concurrency": 0}),
    ("PATCH", "/queues/%0A", {"concurrency": 1}),
    ("PUT", "/schedules/s", {"workflow": "w"}),
    ("PUT", "/schedules/s", {"workflow": "w", "cron": ["61 * * * *"]}),
    ("PUT", "/schedules/a@b", {"workflow": "w", "every_us": 1_000_000}),
]

BAD = client_pb2.StartWorkflowRequest(namespace="typo", workflow="")
GOOD = client_pb2.StartWorkflowRequest(namespace="typo", workflow="w")
HELLO = worker_pb2.Hello(namespace="typo", host="x" * 5_000)
FRAMES = {
    "Talk": client_pb2.TalkFrame(namespace="typo", items=[{"number": 1, "start": BAD}]),
    "Session": worker_pb2.WorkerFrame(hello=HELLO),
}
REQUESTS: list[tuple[str, str, Any]] = [
    ("ClientService", "StartWorkflow", BAD),
    ("ClientService", "SignalWithStart", client_pb2.SignalWithStartRequest(start=GOOD, signal_name="")),
    ("WorkerService", "Register", worker_pb2.RegisterRequest(namespace="typo", worker_id="x" * 5_000)),
    *(
        ("AdminService", short, request_of(SERVICES["AdminService"].methods_by_name[short]))
        for short in ("PutQueue", "PutSchedule")
    ),
]


@pytest.fixture(params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """A place of each kind that a server may serve."""
    if request.param == "postgres":
        database = request.getfixturevalue("postgres_url")
        return lambda: PostgresNamespaces(database)
    return lambda: SqliteNamespaces(tmp_path / "server.db")


@asynccontextmanager
async def empty(places: Places) -> AsyncIterator[tuple[Addresses, Namespaces, httpx.AsyncClient, Caller]]:
    """A server that has no namespace."""
    namespaces = places()
    async with (
        serving(namespaces, ServeOptions(grpc_port=0, http_port=0)) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=30) as http,
        grpc.aio.insecure_channel(addresses.grpc, options=CHANNEL_OPTIONS) as channel,
    ):
        assert await namespaces.names() == []
        yield addresses, namespaces, http, Caller(channel)
        assert await namespaces.names() == []


async def test_reading_over_http_makes_nothing(places: Places) -> None:
    """Every route but those about tokens and all namespaces, and each with and without the namespace's name."""
    async with empty(places) as (_, _, http, _):
        for verb in VERBS.values():
            for route in verb.http:
                method, _, path = route.partition(" ")
                if verb.creates or "token" in path or path == "/api/namespaces":
                    continue
                for part in ("run_id", "name", "schedule_id"):
                    path = path.replace(f"{{{part}}}", "x")
                for params in ({"namespace": "typo"}, {}):
                    answer = await http.request(method, path, params=params)
                    assert (answer.status_code, answer.json()["error"]) == (404, "NamespaceNotFoundError"), route


async def test_what_is_refused_over_http_makes_nothing(places: Places) -> None:
    """Of the routes that make a namespace: a body that does not fit, one that fits and means nothing, and none."""
    async with empty(places) as (_, _, http, _):
        for method, path, body in WRONG:
            answer = await http.request(method, f"/api{path}", params={"namespace": "typo"}, json=body)
            assert answer.status_code in (400, 422), (path, body, answer.text)
        for starts in ([], [{"workflow": "w", "debounce": True}]):
            answer = await http.post("/api/workflows/batch?namespace=typo", json={"starts": starts})
            assert [each["error"] for each in answer.json()["results"]] == ["UsageError"] * len(starts)


async def test_reading_over_grpc_makes_nothing(places: Places) -> None:
    async with empty(places) as (_, _, _, call):
        for verb in VERBS.values():
            for name in verb.grpc:
                service, _, short = name.partition(".")
                method = SERVICES[service].methods_by_name[short]
                if verb.creates or "Token" in short:
                    continue
                with pytest.raises(grpc.aio.AioRpcError) as failed:
                    answer = call(service, short)(request_of(method), timeout=20)
                    _ = [each async for each in answer] if method.server_streaming else await answer
                assert failed.value.code() is NOT_FOUND, name


async def test_what_is_refused_over_grpc_makes_nothing(places: Places) -> None:
    async with empty(places) as (_, _, _, call):
        for service, short, request in REQUESTS:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(service, short)(request, timeout=20)
            assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT, short
        batch = client_pb2.BatchStartRequest(namespace="typo", starts=[BAD])
        assert "workflow ''" in (await call("ClientService", "BatchStart")(batch, timeout=20)).results[0].error
        for short, frame in FRAMES.items():
            stream = call("ClientService" if short == "Talk" else "WorkerService", short)(timeout=20)
            await stream.write(frame)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await stream.read()
            assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT, short


async def test_to_a_client_of_this_package_a_namespace_that_is_not_there_is_empty(places: Places) -> None:
    async with empty(places) as (addresses, _, _, _):
        world = RemoteWorld("typo", [addresses.grpc])
        try:
            assert (await world.store.list_runs(RunQuery())).rows == ()
            assert await world.store.count_runs() == {}
            assert await world.store.get_run("x") is None
            assert await world.store.list_queues() == []
            assert await world.store.list_schedules() == []
        finally:
            await world.close()


async def test_a_start_and_a_worker_make_their_namespace(places: Places) -> None:
    namespaces = places()
    async with (
        serving(namespaces, ServeOptions(grpc_port=0, http_port=0)) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=30) as http,
    ):
        made = await http.post("/api/workflows?namespace=orders", json={"workflow": "w"})
        assert made.status_code == 201
        app = App("bills", server=addresses.grpc)

        @app.workflow
        async def nothing(ctx) -> None:
            """It needs no more than to be there."""

        async with app:
            assert await namespaces.names() == ["bills", "orders"]
