"""Every limit of the reference, crossed over gRPC and over HTTP: refused with the status that stands there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import httpx
import pytest

from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.stores.contract import TokenRow
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.wire.generated import admin_pb2 as admin
from aeterna.durable.wire.generated import client_pb2 as client
from aeterna.durable.wire.services import Caller
from aeterna.kernel.limits import Limits
from aeterna.server.auth import hash_of
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from aeterna.server.tokens import TOKENS_MAX
from tests.docs.pages import read_page, table

NS = "orders"
ADMIN = "an-admin-token-that-nobody-could-guess"
HEADERS = {"Authorization": f"Bearer {ADMIN}"}
TABLE = {row[0]: row[1:] for row in table(read_page("docs/reference/limits.md"), "At a server")}
PAYLOAD_MAX = 100_000
INBOX_MAX = 3


class Crossing(NamedTuple):
    """How a limit is crossed: the service's method and its request; the route and its body."""

    service: str
    request: Any
    route: str
    body: Any


def start(**fields: Any) -> client.StartWorkflowRequest:
    return client.StartWorkflowRequest(**({"namespace": NS, "workflow": "w"} | fields))


def started(**fields: Any) -> tuple[Any, str, Any]:
    """The same start, over both."""
    return start(**fields), "POST /workflows", {"workflow": "w", **fields}


LARGE = "x" * (PAYLOAD_MAX + 1)
HUGE = "x" * (64 * 1024 * 1024)
CRON = ["0 0 * * *"] * 101
SPEC = '{"workflow": "w", "arguments": "", "cron": [' + ", ".join('"0 0 * * *"' for _ in CRON) + "]}"
NAME = "a name (workflow, version, signal, query, queue, share, singleton, capability)"
CROSSINGS = {
    NAME: Crossing("ClientService.StartWorkflow", *started(workflow="x" * 257)),
    "a run's id": Crossing("ClientService.StartWorkflow", *started(id="x" * 513)),
    "a namespace": Crossing(
        "ClientService.StartWorkflow",
        start(namespace="x" * 65),
        f"POST /workflows?namespace={'x' * 65}",
        {"workflow": "w"},
    ),
    "a reason, a note": Crossing(
        "ClientService.CancelWorkflow",
        client.CancelRequest(namespace=NS, id="there", reason="x" * 10_001),
        "POST /workflows/there/cancel",
        {"reason": "x" * 10_001},
    ),
    "arguments, a payload": Crossing(
        "ClientService.StartWorkflow",
        start(arguments=f'j[["{LARGE}"],{{}}]'.encode()),
        "POST /workflows",
        {"workflow": "w", "args": [LARGE]},
    ),
    "a whole request": Crossing(
        "ClientService.StartWorkflow", start(arguments=HUGE.encode()), "POST /workflows", {"args": [LARGE] * 5}
    ),
    "starts in one batch": Crossing(
        "ClientService.BatchStart",
        client.BatchStartRequest(namespace=NS, starts=[start()] * 1_001),
        "POST /workflows/batch",
        {"starts": [{"workflow": "w"}] * 1_001},
    ),
    "runs deleted by one request": Crossing(
        "AdminService.DeleteWorkflows",
        admin.DeleteWorkflowsRequest(namespace=NS, ids=["x"] * 10_001),
        "POST /workflows/delete",
        {"ids": ["x"] * 10_001},
    ),
    "capabilities that a run requires": Crossing("ClientService.StartWorkflow", *started(requires=["x"] * 65)),
    "a delay": Crossing("ClientService.StartWorkflow", *started(delay_us=11 * 366 * 86_400_000_000)),
    "cron expressions of a schedule": Crossing(
        "AdminService.PutSchedule",
        admin.PutScheduleRequest(namespace=NS, id="s", spec=SPEC),
        "PUT /schedules/s",
        {"workflow": "w", "cron": CRON},
    ),
    "a limit of a queue": Crossing(
        "AdminService.PutQueue",
        admin.PutQueueRequest(
            namespace=NS, queue={"name": "q", "concurrency": 2**31, "rate_period_us": 1_000_000, "burst": 1}
        ),
        "PUT /queues/q",
        {"concurrency": 2**31},
    ),
    "messages that wait in a run's inbox": Crossing(
        "ClientService.SignalWorkflow",
        client.SignalRequest(namespace=NS, id="there", name="one more"),
        "POST /workflows/there/signal",
        {"name": "one more"},
    ),
    "namespaces": Crossing(
        "ClientService.StartWorkflow", start(namespace="third"), "POST /workflows?namespace=third", {"workflow": "w"}
    ),
    "tokens": Crossing(
        "AdminService.CreateToken",
        admin.CreateTokenRequest(namespace=NS, role="client"),
        "POST /tokens",
        {"namespace": NS, "role": "client"},
    ),
}


@asynccontextmanager
async def full() -> AsyncIterator[tuple[httpx.AsyncClient, Caller]]:
    """A server with small limits, all of which are reached."""
    limits = Limits(payload_bytes_max=PAYLOAD_MAX, inbox_messages_max=INBOX_MAX)
    coordinator = CoordinatorOptions(namespaces_max=2, limits=limits)
    options = ServeOptions(grpc_port=0, http_port=0, admin_token=ADMIN, coordinator=coordinator)
    namespaces = MemoryNamespaces()
    async with (
        serving(namespaces, options) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}/api", timeout=60, headers=HEADERS) as http,
        grpc.aio.insecure_channel(addresses.grpc, options=[("grpc.max_send_message_length", -1)]) as channel,
    ):
        for name in (NS, "second"):
            made = await http.post("/workflows", params={"namespace": name}, json={"workflow": "w", "id": "there"})
            assert made.status_code == 201
        for _ in range(INBOX_MAX):
            await http.post("/workflows/there/signal", params={"namespace": NS}, json={"name": "unread"})
        store = namespaces.store(NS)
        for number in range(TOKENS_MAX):
            await store.put_token(TokenRow(hash_of(str(number)), "*", "admin", 1))
        yield http, Caller(channel)


def test_every_limit_of_the_reference_is_crossed() -> None:
    assert list(CROSSINGS) == list(TABLE)


@pytest.mark.parametrize("what", CROSSINGS)
async def test_what_crosses_a_limit_is_refused_over_both(what: str) -> None:
    crossing, (_, code, status) = CROSSINGS[what], TABLE[what]
    async with full() as (http, call):
        before = (await http.get("/workflows", params={"namespace": NS})).json()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            metadata = (("authorization", f"Bearer {ADMIN}"),)
            await call(*crossing.service.split("."))(crossing.request, metadata=metadata, timeout=60)
        assert (failed.value.code().name, bool(failed.value.details())) == (code, True), failed.value.details()
        method, _, path = crossing.route.partition(" ")
        params = None if "?" in path else {"namespace": NS}
        answer = await http.request(method, path, params=params, json=crossing.body)
        assert (answer.status_code, answer.headers["content-type"]) == (int(status), "application/problem+json")
        assert len(answer.json()["detail"]) > 10
        assert (await http.get("/workflows", params={"namespace": NS})).json() == before
