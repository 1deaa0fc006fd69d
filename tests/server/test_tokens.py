"""Tokens and roles at a real server: who gets in, who sees what, and what a revoked token still does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest

from aeterna import App
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.wire.generated import admin_pb2, client_pb2
from aeterna.durable.wire.services import CHANNEL_OPTIONS, Caller
from aeterna.kernel.errors import AeternaError, UnauthenticatedError
from aeterna.server.auth import Role
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving

ADMIN = "an-admin-token-that-nobody-could-guess"
ROLES = [role.value for role in Role]


class Place:
    """A server that wants tokens."""

    def __init__(self, addresses) -> None:
        self.addresses = addresses
        self.tokens: dict[str, str] = {}

    async def ask(self, method: str, path: str, token: str | None = None, **options):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        params = {"namespace": "orders", **options.pop("params", {})}
        async with httpx.AsyncClient(base_url=f"http://{self.addresses.http}", timeout=30) as http:
            return await http.request(method, f"/api{path}", headers=headers, params=params, **options)

    async def call(self, service: str, method: str, request, token: str | None):
        async with grpc.aio.insecure_channel(self.addresses.grpc, options=CHANNEL_OPTIONS) as channel:
            metadata = Credentials(token).metadata()
            return await Caller(channel)(service, method)(request, metadata=metadata, timeout=20)

    async def workers(self) -> list[str]:
        """The names of the workers at work."""
        return [each["name"] for each in (await self.ask("GET", "/workers", ADMIN)).json()["workers"]]

    async def give(self, role: str, namespace: str = "orders") -> str:
        answer = await self.ask("POST", "/tokens", ADMIN, json={"namespace": namespace, "role": role, "note": "test"})
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]


@asynccontextmanager
async def guarded_place():
    namespaces = MemoryNamespaces()
    options = ServeOptions(grpc_port=0, http_port=0, admin_token=ADMIN)
    async with serving(namespaces, options) as addresses:
        place = Place(addresses)
        first = await place.ask("POST", "/tokens", ADMIN, json={"role": "admin"})
        assert first.status_code == 201, first.text
        for role in ROLES:
            place.tokens[role] = await place.give(role)
        assert (await place.ask("PUT", "/queues/q", ADMIN, json={})).status_code == 200
        yield place


GRPC = {
    Role.READ_ONLY: ("AdminService", "GetSummary", admin_pb2.SummaryRequest(namespace="orders")),
    Role.CLIENT: ("ClientService", "StartWorkflow", client_pb2.StartWorkflowRequest(namespace="orders", workflow="w")),
    Role.WORKER: ("AdminService", "PutQueue", admin_pb2.PutQueueRequest(namespace="orders", queue={"name": "q"})),
    Role.ADMIN: ("AdminService", "DeleteQueue", admin_pb2.DeleteQueueRequest(namespace="orders", name="q")),
}
HTTP = {
    Role.READ_ONLY: ("GET", "/workflows", None),
    Role.CLIENT: ("POST", "/workflows", {"workflow": "w"}),
    Role.ADMIN: ("POST", "/workflows/delete", {"ids": ["nothing"]}),
}


async def test_each_role_may_do_what_it_includes_and_nothing_else():
    async with guarded_place() as place:
        for held in Role:
            token = place.tokens[held.value]
            for need, (service, method, request) in GRPC.items():
                try:
                    await place.call(service, method, request, token)
                    code = None
                except grpc.aio.AioRpcError as error:
                    code = error.code()
                assert code is (None if held.includes(need) else grpc.StatusCode.PERMISSION_DENIED), (held, need)
            for need, (method, path, body) in HTTP.items():
                answer = await place.ask(method, path, token, json=body)
                assert answer.is_success == held.includes(need), (held, need, answer.text)
                assert answer.is_success or answer.status_code == 403


@pytest.mark.parametrize("token", [None, "aet_wrong", "x" * 100_000])
async def test_without_a_good_token_nobody_gets_in(token):
    async with guarded_place() as place:
        header = None if token is None else token[:5_000]
        for method, path, body in HTTP.values():
            answer = await place.ask(method, path, header, json=body)
            assert answer.status_code == 401
            assert answer.json()["error"] == "UnauthenticatedError"
            assert answer.headers["www-authenticate"] == "Bearer"
        # Not even the names of the namespaces are told.
        nameless = await place.ask("GET", "/workflows", header, params={"namespace": None})
        assert "orders" not in nameless.text
        for service, method, request in GRPC.values():
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await place.call(service, method, request, header)
            assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_of_one_namespace_opens_no_other():
    async with guarded_place() as place:
        token = await place.give("admin", "orders")
        assert (await place.ask("POST", "/workflows", token, json={"workflow": "w"})).status_code == 201
        other = await place.ask("GET", "/workflows", token, params={"namespace": "secrets"})
        assert other.status_code == 403
        assert (await place.ask("GET", "/workflows", token)).status_code == 200
        assert (await place.ask("GET", "/namespaces", token)).json() == {"namespaces": ["orders"]}
        # It manages the tokens of its own namespace, and no others.
        wanted = {"namespace": "secrets", "role": "client"}
        assert (await place.ask("POST", "/tokens", token, json=wanted)).status_code == 403
        assert (await place.ask("POST", "/tokens", token, json={"role": "client"})).status_code == 403
        listed = (await place.ask("GET", "/tokens", token)).json()["tokens"]
        assert {each["namespace"] for each in listed} == {"orders"}


async def test_a_revoked_token_loses_its_worker_within_two_seconds():
    async with guarded_place() as place:
        token = place.tokens["worker"]
        app = App("orders", server=place.addresses.grpc, token=token)

        @app.workflow
        async def nothing(ctx) -> int:
            return 1

        async with app:
            assert await nothing.start_and_wait() == 1
            assert len(await place.workers()) == 1
            listed = (await place.ask("GET", "/tokens", ADMIN, params={"namespace": "*"})).json()["tokens"]
            [worker] = [each["id"] for each in listed if each["role"] == "worker"]
            revoked = await place.ask("DELETE", f"/tokens/{worker}", ADMIN, params={"namespace": "*"})
            assert revoked.status_code == 200, revoked.text
            assert (await place.ask("GET", "/workflows", token)).status_code == 401
            async with asyncio.timeout(10):
                while await place.workers():
                    pass


async def test_the_first_token_manages_the_others_and_the_last_such_stays():
    options = ServeOptions(grpc_port=0, http_port=0)
    async with serving(MemoryNamespaces(), options) as addresses:
        place = Place(addresses)
        early = await place.ask("POST", "/tokens", json={"role": "client"})
        assert (early.status_code, early.json()["error"]) == (409, "InvalidStateError")
        made = (await place.ask("POST", "/tokens", json={"role": "admin"})).json()
        # From here on the door is shut, on this machine too.
        assert (await place.ask("GET", "/workflows")).status_code == 401
        admin = made["token"]
        await place.ask("POST", "/tokens", admin, json={"role": "client"})
        stays = await place.ask("DELETE", f"/tokens/{made['id']}", admin, params={"namespace": "*"})
        assert stays.status_code == 409
        listing = await place.ask("GET", "/tokens", admin, params={"namespace": "*"})
        assert made["token"] not in listing.text
        assert len(listing.json()["tokens"]) == 2


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
    ids=["rebound name", "another site", "a file"],
)
async def test_a_web_page_cannot_use_an_open_server(headers):
    async with (
        serving(MemoryNamespaces(), ServeOptions(grpc_port=0, http_port=0)) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}") as http,
    ):
        assert (await http.get("/api/namespaces", headers=headers)).status_code == 403
        assert (await http.get("/api/namespaces")).status_code == 200


async def test_a_program_with_a_wrong_token_is_told_so():
    async with guarded_place() as place:
        app = App("orders", server=place.addresses.grpc, token="aet_nonsense")
        with pytest.raises(AeternaError, match="unknown, or was revoked") as refused:
            async with app:
                pass
        assert isinstance(refused.value, UnauthenticatedError)
