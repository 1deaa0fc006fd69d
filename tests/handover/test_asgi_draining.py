"""What clients meet when a generation with the ASGI middleware drains: a last answer each, and a proper end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
import websockets

from tests.handover.serving_clients import closed_loop, connection_to, get
from tests.handover.serving_servers import Servers, SharedPort, servers_for_a_test, until

SERVERS = ["uvicorn", "uvicorn-h11", "hypercorn", "gunicorn-asgi", "gunicorn-uvicorn", "gunicorn-gthread", "run-asgi"]
WITH_WEBSOCKETS = ["uvicorn", "uvicorn-h11", "hypercorn", "run-asgi"]


@pytest.fixture
def port() -> Iterator[SharedPort]:
    port = SharedPort()
    yield port
    port.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_for_a_test() as servers:
        yield servers


@pytest.mark.parametrize("kind", SERVERS)
async def test_no_keep_alive_client_loses_a_request_when_its_generation_is_replaced(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    """The order of a drain: new connections elsewhere, lame duck, TERM."""
    old = await servers.start(kind, port.blue)
    async with closed_loop(port.port, 12) as tally:
        await until(lambda: len(tally.last_of) == 12)
        old_answer = tally.last_of[0]
        new = await servers.start(kind, port.green)
        port.steer(1)
        await old.asked("drain 300")
        await until(lambda: old_answer not in tally.last_of.values())
        await old.end()
        answered = tally.total
        await until(lambda: tally.total > answered + 100)
    assert tally.failures == [], old.log + new.log
    assert await get(port.port, "/")


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-asgi"])
async def test_the_answers_of_a_draining_generation_end_their_connections(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await servers.start(kind, port.blue)
    async with connection_to(port.port) as connection:
        assert not (await connection.get("/")).is_last
        await server.asked("drain 300")
        assert (await connection.get("/")).is_last
        assert await connection.is_closed()


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn", "gunicorn-gthread", "run-asgi"])
async def test_a_request_in_flight_is_answered_after_term(kind: str, port: SharedPort, servers: Servers) -> None:
    server = await servers.start(kind, port.blue)
    async with connection_to(port.port) as connection:
        await connection.send("/stream/a")
        await connection.head()
        parts = connection.parts()
        assert await anext(parts) == b"first"
        assert json.loads(await server.asked("inflight")) == 1
        await server.asked("drain 100")
        server.process.terminate()
        await server.asked("release a")
        assert [part async for part in parts] == [b"last"]


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn"])
async def test_an_event_stream_ends_between_events_and_says_when_to_come_back(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await servers.start(kind, port.blue, environ={"AETERNA_WS_CLOSE_SPREAD_MS": "50"})
    async with connection_to(port.port) as connection:
        await connection.send("/sse")
        await connection.head()
        parts = connection.parts()
        assert await anext(parts) == b"data: hello\n\n"
        await server.asked("drain 300")
        assert [part async for part in parts] == [b"retry: 1000\n\n"]
    await server.asked("await sse-ended")
    await until(lambda: server.ask("inflight") == "0")


@pytest.mark.parametrize("kind", WITH_WEBSOCKETS)
async def test_websockets_are_closed_one_by_one_with_the_code_that_asks_to_come_back(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await servers.start(kind, port.blue, environ={"AETERNA_WS_CLOSE_SPREAD_MS": "1500"})
    async with contextlib.AsyncExitStack() as connections:
        clients = [
            await connections.enter_async_context(websockets.connect(f"ws://{port.address}/echo")) for _ in range(3)
        ]
        for client in clients:
            await client.send("hello")
            assert await client.recv() == "hello"
        # The answer may arrive before its exchange is over at the server.
        await until(lambda: server.ask("inflight") == "0")
        await server.asked("drain 100")
        await clients[0].wait_closed()
        still_open = clients[2].state.name
        for client in clients:
            await client.wait_closed()
    assert [client.close_code for client in clients] == [1012, 1012, 1012]
    assert still_open == "OPEN"
    await server.asked("await ws-ended")
    await until(lambda: server.ask("inflight") == "0")


@pytest.mark.parametrize("kind", WITH_WEBSOCKETS)
async def test_a_websocket_is_closed_properly_by_term_alone(kind: str, port: SharedPort, servers: Servers) -> None:
    server = await servers.start(kind, port.blue, environ={"AETERNA_WS_CLOSE_SPREAD_MS": "50"})
    async with websockets.connect(f"ws://{port.address}/echo") as client:
        await client.send("hello")
        assert await client.recv() == "hello"
        if kind == "hypercorn":
            # It cuts its WebSockets itself, after TERM.
            await server.asked("drain 100")
            await client.wait_closed()
        await server.end()
        await client.wait_closed()
        assert client.close_code == 1012
