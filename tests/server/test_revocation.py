"""What a token opened ends within the stated time once it is revoked, at the server that was told and at others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest

from aeterna.durable.stores.postgres.namespaces import PostgresNamespaces
from aeterna.durable.wire.generated import admin_pb2, client_pb2, worker_pb2
from aeterna.durable.wire.services import CHANNEL_OPTIONS, Caller
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving

STATED_S = 5.0
"""docs/how-to/secure-a-server.md says so."""
ADMIN = "an-admin-token-that-nobody-could-guess"


class At:
    """One server, asked with one token, and with the operator's."""

    def __init__(self, http: httpx.AsyncClient, call: Caller) -> None:
        self.http, self.call, self.metadata = http, call, ()

    async def operate(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(
            method, f"/api/{path}", params={"namespace": "*"} if path.startswith("tokens") else {"namespace": "orders"},
            json=body, headers={"Authorization": f"Bearer {ADMIN}"},
        )  # fmt: skip
        assert answer.is_success, answer.text
        return answer.json()

    def use(self, token: str) -> None:
        self.metadata = (("authorization", f"Bearer {token}"),)

    # Each opens a stream, and returns once it stands; what it returns ends when the stream does.

    async def session(self) -> asyncio.Future[Any]:
        stream = self.call("WorkerService", "Session")(metadata=self.metadata)
        await stream.write(worker_pb2.WorkerFrame(hello=worker_pb2.Hello(namespace="orders")))
        assert (await stream.read()).HasField("welcome")
        return asyncio.ensure_future(stream.read())

    async def poll(self) -> asyncio.Future[Any]:
        request = worker_pb2.RegisterRequest(namespace="orders", worker_id="w")
        opened = await self.call("WorkerService", "Register")(request, metadata=self.metadata)
        request = worker_pb2.PollRequest(namespace="orders", session_token=opened.session_token, max_tasks=1)
        stream = self.call("WorkerService", "PollTasks")(request, metadata=self.metadata)
        return asyncio.ensure_future(stream.read())

    async def talk(self) -> asyncio.Future[Any]:
        stream = self.call("ClientService", "Talk")(metadata=self.metadata)
        start = client_pb2.StartWorkflowRequest(workflow="w", id="talked")
        await stream.write(client_pb2.TalkFrame(namespace="orders", items=[{"number": 1, "start": start}]))
        assert (await stream.read()).answers
        return asyncio.ensure_future(stream.read())

    async def watch(self) -> asyncio.Future[Any]:
        stream = self.call("AdminService", "WatchChanges")(
            admin_pb2.WatchRequest(namespace="orders", id="none"), metadata=self.metadata
        )
        return asyncio.ensure_future(stream.read())

    async def wait(self) -> asyncio.Future[Any]:
        request = client_pb2.AwaitResultRequest(namespace="orders", id="there")
        return asyncio.ensure_future(self.call("ClientService", "AwaitResult")(request, metadata=self.metadata))

    async def changes(self) -> asyncio.Future[Any]:
        stands = asyncio.Event()

        async def read() -> None:
            params, headers = {"namespace": "orders"}, {"Authorization": self.metadata[0][1]}
            async with self.http.stream("GET", "/api/changes", params=params, headers=headers) as stream:
                assert stream.status_code == 200
                async for _ in stream.aiter_bytes():
                    stands.set()
            raise EOFError

        reading = asyncio.ensure_future(read())
        await stands.wait()
        return reading


@asynccontextmanager
async def two_servers(url: str) -> AsyncIterator[list[At]]:
    async with AsyncExitStack() as stack:
        servers = []
        for _ in range(2):
            options = ServeOptions(grpc_port=0, http_port=0, admin_token=ADMIN)
            addresses = await stack.enter_async_context(serving(PostgresNamespaces(url), options))
            http = httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=60)
            channel = grpc.aio.insecure_channel(addresses.grpc, options=CHANNEL_OPTIONS)
            await stack.enter_async_context(http)
            servers.append(At(http, Caller(await stack.enter_async_context(channel))))
        yield servers


@pytest.mark.parametrize("told", [0, 1], ids=["the server that is told", "another server"])
async def test_every_stream_of_a_revoked_token_ends_within_the_stated_time(postgres_url: str, told: int) -> None:
    async with two_servers(postgres_url) as servers:
        at = servers[0]
        await at.operate("POST", "tokens", {"role": "admin"})
        await at.operate("POST", "workflows", {"workflow": "w", "id": "there"})
        made = await at.operate("POST", "tokens", {"namespace": "orders", "role": "worker"})
        at.use(made["token"])
        opened = {each: await getattr(at, each)() for each in ("session", "poll", "talk", "watch", "wait", "changes")}
        _, early = await asyncio.wait(opened.values(), timeout=1.5)
        assert len(early) == len(opened), "they stay for as long as the token is good"
        await servers[told].operate("DELETE", f"tokens/{made['id']}")
        _, left = await asyncio.wait(opened.values(), timeout=STATED_S)
        assert not left, [name for name, future in opened.items() if future in left]
        # None of them ended as if all were well.
        assert [name for name, future in opened.items() if future.exception() is None] == []
