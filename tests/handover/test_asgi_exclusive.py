"""Exclusive state: what waits, what is passed on and what runs, while two generations live and one of them serves."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

import pytest
import websockets

from tests.handover.serving_clients import Connection, closed_loop, connection_to, get
from tests.handover.serving_servers import Server, Servers, SharedPort, servers_for_a_test, until

EXCLUSIVE = {"AETERNA_STATE_MODE": "exclusive", "AETERNA_WS_CLOSE_SPREAD_MS": "50"}
CANDIDATE = {**EXCLUSIVE, "AETERNA_ROLE": "candidate"}
SIZE = 3_000_000


@pytest.fixture
def port() -> Iterator[SharedPort]:
    port = SharedPort()
    yield port
    port.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_for_a_test() as servers:
        yield servers


async def start_old(servers: Servers, kind: str, port: SharedPort, **environ: str) -> Server:
    return await servers.start(kind, port.blue, listen=port.address, environ={**EXCLUSIVE, **environ})


async def start_new(servers: Servers, kind: str, port: SharedPort) -> Server:
    return await servers.start(kind, port.green, listen=port.address, environ=CANDIDATE)


async def move(old: Server, new: Server, port: SharedPort, to: int) -> None:
    """What the supervisor does between quiesce and commit; the state itself is not the point here."""
    port.steer(to)
    assert await old.asked("pause 5000") == "0"
    await new.asked("activate")
    await old.asked("standby")


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
async def test_a_paused_generation_lets_requests_wait_and_answers_them_when_it_resumes(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await start_old(servers, kind, port)
    async with connection_to(port.port) as connection:
        assert (await connection.get("/count")).body == b"1"
        assert await server.asked("pause 1000") == "0"
        await connection.send("/count")
        answer = asyncio.create_task(connection.answer())
        assert await server.asked("inflight") == "0"
        assert not answer.done()
        await server.asked("resume")
        assert (await answer).body == b"2"


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn", "gunicorn-gthread"])
async def test_a_request_that_waited_is_answered_by_the_generation_that_took_over(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    old = await start_old(servers, kind, port)
    new = await start_new(servers, kind, port)
    async with connection_to(port.port) as connection:
        mine = (await connection.get("/")).body
        assert await old.asked("pause 1000") == "0"
        await connection.send("/")
        port.steer(1)
        await new.asked("activate")
        await old.asked("standby")
        answer = await connection.answer()
        assert answer.status == 200
        assert answer.body != mine
        assert answer.is_last
        assert await connection.is_closed()


@pytest.mark.parametrize("kind", ["run-asgi", "gunicorn-gthread"])
async def test_a_pause_says_how_many_requests_are_still_under_way_and_waits_for_them(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await start_old(servers, kind, port)
    async with connection_to(port.port) as connection:
        await connection.send("/wait/it")
        await until(lambda: server.ask("inflight") == "1")
        assert await server.asked("pause 30") == "1"
        pausing = asyncio.create_task(server.asked("pause 5000"))
        await server.asked("release it")
        assert await pausing == "0"
        assert (await connection.answer()).status == 200


@pytest.mark.parametrize("kind", ["hypercorn", "gunicorn-asgi", "run-asgi"])
async def test_clients_of_a_shared_counter_lose_nothing_when_generations_take_turns(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    """Eight keep-alive clients through four handovers, lame duck included; the last one goes back."""
    generations = [await start_old(servers, kind, port), await start_new(servers, kind, port)]
    async with closed_loop(port.port, 8) as tally:
        await until(lambda: len(tally.last_of) == 8)
        for to in (1, 0, 1, 0):
            before = tally.total
            old, new = generations[1 - to], generations[to]
            await old.asked("drain 50")
            await move(old, new, port, to)
            await until(lambda: tally.total > before + 100)  # noqa: B023 - used within the round
    assert tally.failures == [], "".join(server.log for server in generations)
    assert len(tally.answered) == 2


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn", "gunicorn-gthread"])
async def test_a_generation_on_standby_passes_bodies_on_in_both_directions(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    old = await start_old(servers, kind, port)
    new = await start_new(servers, kind, port)
    body = bytes(range(256)) * (SIZE // 256)
    expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
    async with connection_to(port.port) as first, connection_to(port.port) as second, connection_to(port.port) as third:
        await ask_once(first, second, third)
        await move(old, new, port, 1)
        assert (await first.get("/upload", method="POST", body=body)).body == expected
        await first.close()
        await second.send("/upload", method="POST", headers="transfer-encoding: chunked\r\n")
        for start in range(0, len(body), SIZE // 4):
            part = body[start : start + SIZE // 4]
            second.writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await second.writer.drain()
        second.writer.write(b"0\r\n\r\n")
        assert (await second.answer()).body == expected
        await second.close()
        await third.send("/stream/x")
        await third.head()
        parts = third.parts()
        assert await anext(parts) == b"first"
        await new.asked("release x")
        assert [part async for part in parts] == [b"last"]


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
async def test_what_is_passed_on_keeps_its_path_its_headers_and_its_client(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    old = await start_old(servers, kind, port)
    new = await start_new(servers, "uvicorn", port)
    async with connection_to(port.port) as first, connection_to(port.port) as second, connection_to(port.port) as third:
        await ask_once(first, second, third)
        await move(old, new, port, 1)
        headers = (
            "x-mine: 1\r\nkeep-alive: timeout=5\r\nconnection: x-hop\r\nx-hop: 1\r\nx-forwarded-for: 203.0.113.9\r\n"
        )
        seen = (await first.get("/headers?a=%20b", headers=headers)).body
        await first.close()
        assert b"x-mine: 1" in seen
        assert b"x-hop" not in seen
        assert b"keep-alive" not in seen
        assert (await second.get("/client", headers="x-forwarded-for: 203.0.113.9\r\n")).body == b"203.0.113.9"
        await second.close()
        await third.send("/", method="HEAD")
        head = await third.head()
        assert int(head.headers["content-length"]) > 0
        assert await third.is_closed()


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
async def test_a_request_to_a_standby_whose_successor_died_is_answered_by_itself_after_the_rollback(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    old = await start_old(servers, kind, port)
    new = await start_new(servers, kind, port)
    async with connection_to(port.port) as connection:
        mine = (await connection.get("/")).body
        await move(old, new, port, 1)
        assert await new.end() in (0, -15)
        await connection.send("/")
        answer = asyncio.create_task(connection.answer())
        port.steer(0)
        await old.asked("resume")
        assert (await answer).body == mine


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
async def test_a_request_that_only_a_standby_would_answer_ends_instead_of_going_round(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    """Nobody serves: the request comes back to the same generation until it is given up."""
    server = await servers.start(kind, port.blue, listen=port.address, environ=EXCLUSIVE | {"TEST_PARK_S": "0.2"})
    await server.asked("standby")
    answer = await get(port.port, "/")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    await until(lambda: server.ask("inflight") == "0")


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
async def test_more_waiting_requests_than_the_limit_are_asked_to_try_again(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await start_old(servers, kind, port, TEST_PARKED_MAX="1")
    assert await server.asked("pause 1000") == "0"
    async with connection_to(port.port) as waits:
        await waits.send("/")
        answers = [await get(port.port, "/") for _ in range(2)]
        assert 503 in {answer.status for answer in answers}
        await server.asked("resume")


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn", "run-asgi"])
async def test_a_websocket_outlives_a_pause_and_is_sent_away_by_the_takeover_only(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await start_old(servers, kind, port)
    async with websockets.connect(f"ws://{port.address}/echo") as client:
        await client.send("count")
        assert await client.recv() == "1"
        await server.asked("drain 50")
        assert await server.asked("pause 1000") == "0"
        await client.send("count")
        await server.asked("resume")
        assert await client.recv() == "2"
        assert await server.asked("pause 1000") == "0"
        await server.asked("standby")
        await client.wait_closed()
        assert client.close_code == 1012


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn"])
async def test_a_websocket_that_reaches_a_standby_is_asked_to_come_back(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    server = await start_old(servers, kind, port)
    await server.asked("standby")
    async with websockets.connect(f"ws://{port.address}/echo") as client:
        await client.wait_closed()
        assert client.close_code == 1012


async def ask_once(*connections: Connection) -> None:
    """The connections reach the application before it moves."""
    for connection in connections:
        assert (await connection.get("/")).status == 200
