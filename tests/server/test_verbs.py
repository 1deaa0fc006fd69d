"""One table says who may do what: it names everything that can be asked for, and every transport keeps to it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass

from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.wire.generated import client_pb2, worker_pb2
from aeterna.durable.wire.services import CHANNEL_OPTIONS, SERVICES, Caller
from aeterna.server.auth import Role
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from aeterna.server.verbs import CALL_NEEDS, OPEN_ROUTES, VERBS

ADMIN = "an-admin-token-that-nobody-could-guess"
GRPC = {method: verb for verb in VERBS.values() for method in verb.grpc}
HTTP = {route: verb for verb in VERBS.values() for route in verb.http}


class Guarded:
    """A server that wants tokens, one of each role."""

    def __init__(self, http: httpx.AsyncClient, call: Caller, tokens: dict[Role, str]) -> None:
        self.http, self.call, self.tokens = http, call, tokens

    async def route(self, role: Role, route: str, body: Any = None) -> httpx.Response:
        method, _, path = route.partition(" ")
        for part in ("run_id", "name", "schedule_id", "token_id"):
            path = path.replace(f"{{{part}}}", "nothing")
        params: dict[str, str | int] = {"namespace": "orders"}
        for end, bound in (("/changes", "limit_s"), ("/result", "timeout_s")):
            if path.endswith(end):
                params[bound] = 0
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return await self.http.request(method, path, params=params, headers=headers, json=body)

    async def method(self, role: Role, name: str, **fields: Any) -> grpc.StatusCode:
        """How a call ends of which nothing but the namespace is given."""
        service, _, short = name.partition(".")
        method = SERVICES[service].methods_by_name[short]
        metadata = Credentials(self.tokens[role]).metadata()
        call = self.call(service, short)
        try:
            if method.client_streaming:
                await self._talk(call(metadata=metadata, timeout=20), short)
            elif method.server_streaming:
                stream = call(
                    request_of(method, **fields), metadata=metadata, timeout=1 if short == "WatchChanges" else 20
                )
                async for _ in stream:
                    pass
            else:
                await call(request_of(method, **fields), metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def _talk(self, stream: Any, short: str) -> None:
        if short == "Talk":
            await stream.write(client_pb2.TalkFrame(namespace="orders"))
        else:
            await stream.write(worker_pb2.WorkerFrame(hello=worker_pb2.Hello(namespace="orders")))
        await stream.done_writing()
        while await stream.read() is not grpc.aio.EOF:
            pass


def request_of(method: Any, **fields: Any) -> Any:
    kind = GetMessageClass(method.input_type)
    if method.name == "SignalWithStart":
        return kind(start=client_pb2.StartWorkflowRequest(namespace="orders"))
    return kind(namespace="orders", **fields)


@asynccontextmanager
async def guarded() -> AsyncIterator[Guarded]:
    options = ServeOptions(grpc_port=0, http_port=0, admin_token=ADMIN)
    async with (
        serving(MemoryNamespaces(), options) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=30) as http,
        grpc.aio.insecure_channel(addresses.grpc, options=CHANNEL_OPTIONS) as channel,
    ):
        headers = {"Authorization": f"Bearer {ADMIN}"}
        assert (await http.post("/api/tokens", headers=headers, json={"role": "admin"})).status_code == 201
        tokens = {}
        for role in Role:
            made = await http.post("/api/tokens", headers=headers, json={"namespace": "orders", "role": role.value})
            tokens[role] = made.json()["token"]
        start = {"workflow": "w", "id": "there"}
        begun = await http.post("/api/workflows?namespace=orders", headers=headers, json=start)
        assert begun.status_code == 201, begun.text
        yield Guarded(http, Caller(channel), tokens)


def test_every_method_has_a_row_and_no_other() -> None:
    there = [f"{name}.{method.name}" for name, service in SERVICES.items() for method in service.methods]
    named = [method for verb in VERBS.values() for method in verb.grpc]
    assert sorted(named) == sorted(there)


def test_every_call_of_a_session_has_a_row_and_no_other() -> None:
    there = [field.name for field in worker_pb2.Call.DESCRIPTOR.oneofs_by_name["call"].fields]
    assert sorted(CALL_NEEDS) == sorted([*there, "delete_finished"])


async def test_every_route_has_a_row_and_no_other() -> None:
    async with guarded() as place:
        paths = (await place.http.get("/openapi.json")).json()["paths"]
    there = [f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs]
    named = [route for verb in VERBS.values() for route in verb.http]
    assert sorted([*named, *OPEN_ROUTES]) == sorted(there)


async def test_every_route_keeps_to_the_table() -> None:
    """Whoever has not the role gets 403, whatever else is wrong with the request; whoever has it gets further."""
    async with guarded() as place:
        for (route, verb), role in itertools.product(HTTP.items(), Role):
            # Whose tokens are meant, the body says.
            body = {"namespace": "orders", "role": "client"} if route == "POST /api/tokens" else None
            answer = await place.route(role, route, body)
            assert (answer.status_code == 403) == (not role.includes(verb.need)), (route, role, answer.text)
            assert answer.status_code < 500, (route, answer.text)


async def test_every_method_keeps_to_the_table() -> None:
    async with guarded() as place:
        for (method, verb), role in itertools.product(GRPC.items(), Role):
            code = await place.method(role, method)
            is_refused = code is grpc.StatusCode.PERMISSION_DENIED
            assert is_refused == (not role.includes(verb.need)), (method, role, code)
            assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (method, code)


async def test_a_worker_s_session_is_no_way_round_the_table() -> None:
    """What only an operator may do, a worker cannot do on its stream either; what its program declares, it can."""
    calls = [
        worker_pb2.Call(number=1, delete_queue="q"),
        worker_pb2.Call(number=2, delete_schedule="s"),
        worker_pb2.Call(number=3, delete_runs=worker_pb2.DeleteCall(ids=["a"])),
        worker_pb2.Call(number=4, delete_runs=worker_pb2.DeleteCall(finished_before_us=1, limit=10)),
        worker_pb2.Call(number=5, put_queue={"name": "q"}),
    ]
    async with guarded() as place:
        for role, refused in ((Role.WORKER, {1, 2, 3}), (Role.ADMIN, set())):
            metadata = Credentials(place.tokens[role]).metadata()
            stream = place.call("WorkerService", "Session")(metadata=metadata, timeout=20)
            hello = worker_pb2.Hello(namespace="orders")
            await stream.write(worker_pb2.WorkerFrame(hello=hello))
            await stream.write(worker_pb2.WorkerFrame(calls=calls))
            replies: dict[int, Any] = {}
            while len(replies) < len(calls):
                replies |= {reply.number: reply for reply in (await stream.read()).replies}
            stream.cancel()
            failed = {number: reply.failure.kind for number, reply in replies.items() if reply.HasField("failure")}
            assert failed == dict.fromkeys(refused, "PermissionDeniedError")


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
def test_what_makes_a_namespace_is_for_those_who_may_start_or_declare(verb: Any) -> None:
    """A reader can never make anything come to be."""
    assert not verb.creates or verb.need in (Role.CLIENT, Role.WORKER)
