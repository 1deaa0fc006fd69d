"""The control API's connections: who may come in, limits of size and time, keep-alive, many at once, a clean end."""

from __future__ import annotations

import asyncio
import os
import socket
import stat

import pytest

from aeterna.kernel.clock import SystemClock
from aeterna.supervisor.control.admission import TokenDoor, UnixDoor
from aeterna.supervisor.control.answers import ProblemError
from aeterna.supervisor.control.connection import HttpLimits
from aeterna.supervisor.control.contract import Caller
from aeterna.supervisor.control.server import ControlServer, ControlSockets, open_control_socket
from tests.supervisor.control_world import TOKEN, World, close, den, exchange, read_head, wait_true

GET = "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
RIGHT = f"Authorization: Bearer {TOKEN}\r\n"


def test_a_stranger_on_the_unix_socket_is_refused():
    """The uid is the kernel's word; root and the owner may come in."""
    door = UnixDoor(1000)
    door.admit(Caller(uid=1000, pid=1), {})
    door.admit(Caller(uid=0, pid=1), {})
    with pytest.raises(ProblemError, match="user 1001 does not own this supervisor"):
        door.admit(Caller(uid=1001, pid=1), {})


async def test_the_unix_socket_is_private():
    async with den() as here:
        mode = stat.S_IMODE((here.directory / "control.sock").stat().st_mode)
    assert mode == 0o600


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (f"Host: 127.0.0.1\r\n{RIGHT}", 200),
        (f"Host: localhost:8080\r\n{RIGHT}", 200),
        (f"Host: [::1]:8080\r\n{RIGHT}", 200),
        (f"Host: {os.uname().nodename}\r\n{RIGHT}", 200),
        (f"Host: 127.0.0.1:9\r\nOrigin: http://127.0.0.1:9\r\n{RIGHT}", 200),
        ("Host: 127.0.0.1\r\n", 401),
        ("Host: 127.0.0.1\r\nAuthorization: Bearer swordfisk\r\n", 401),
        ("Host: 127.0.0.1\r\nAuthorization: Bearer \xe4\r\n", 401),
        ("Host: 127.0.0.1\r\nAuthorization: Basic swordfish\r\n", 401),
        (f"Host: evil.example\r\n{RIGHT}", 403),
        (f"Host: 127.0.0.1.evil.example:80\r\n{RIGHT}", 403),
        (f"Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n{RIGHT}", 403),
        (f"Host: 127.0.0.1\r\nOrigin: null\r\n{RIGHT}", 403),
    ],
)
async def test_on_tcp_the_token_and_an_own_host_are_needed(headers, status):
    async with den() as here:
        code, _, _ = await here.ask(f"GET /v1/status HTTP/1.1\r\n{headers}\r\n", here.connect_tcp)
    assert code == status


def test_there_is_no_door_without_a_token():
    with pytest.raises(AssertionError):
        TokenDoor("")


async def test_the_metrics_listener_serves_two_things_to_anybody():
    async with den() as here:
        status, headers, body = await here.ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", here.connect_metrics)
        assert (status, headers["content-type"].startswith("text/plain; version=0.0.4")) == (200, True)
        assert 'aeterna_build_info{version="1.2.3"} 1.0' in body
        assert (await here.ask("GET /health HTTP/1.1\r\nHost: a\r\n\r\n", here.connect_metrics))[0] == 200
        here.world.change(is_ready=False)
        assert (await here.ask("GET /health HTTP/1.1\r\nHost: a\r\n\r\n", here.connect_metrics))[0] == 503
        for target in ("GET /v1/status", "POST /v1/stop", "POST /metrics"):
            code, _, _ = await here.ask(f"{target} HTTP/1.1\r\nHost: a\r\n\r\n", here.connect_metrics)
            assert code in {404, 405}
    assert not here.world.orders


async def test_one_connection_serves_many_requests_and_pipelined_ones():
    async with den() as here:
        reader, writer = await here.connect()
        for _ in range(3):
            assert (await exchange(reader, writer, GET))[0] == 200
        writer.write((GET * 3).encode())
        for _ in range(3):
            assert (await exchange(reader, writer, ""))[0] == 200
        await close(writer)


async def test_a_head_request_gets_no_body():
    async with den() as here:
        reader, writer = await here.connect()
        status, headers, _ = await exchange(reader, writer, GET.replace("GET", "HEAD"))
        assert (status, int(headers["content-length"]) > 100) == (200, True)
        assert (await exchange(reader, writer, GET))[0] == 200
        await close(writer)


async def test_an_old_client_is_served_and_the_connection_closed():
    async with den() as here:
        reader, writer = await here.connect()
        assert (await exchange(reader, writer, "GET /live HTTP/1.0\r\n\r\n"))[0] == 200
        assert await reader.read() == b""
        await close(writer)


async def test_a_client_that_has_closed_its_sending_side_still_gets_its_answer():
    async with den() as here:
        reader, writer = await here.connect()
        writer.write(GET.encode())
        writer.write_eof()
        assert (await read_head(reader))[0] == 200
        await close(writer)


async def test_a_body_may_come_in_chunks_and_wait_for_a_go():
    async with den() as here:
        reader, writer = await here.connect()
        writer.write(
            b"POST /v1/services/web/canary HTTP/1.1\r\nHost: x\r\n"
            b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await read_head(reader))[0] == 100
        writer.write(b'7\r\n{"weigh\r\n7\r\nt": 25}\r\n0\r\n\r\n')
        assert (await exchange(reader, writer, ""))[0] == 202
        assert here.world.orders[0].weight == 25
        await close(writer)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (f"GET /{'x' * 40_000} HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (f"GET / HTTP/1.1\r\nHost: x\r\nX: {'x' * 40_000}\r\n\r\n", 431),
        (f"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n{'x' * 70_000}", 413),
        (f"GET /v1/status?{'&'.join(f'a{n}=1' for n in range(50))} HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
)
async def test_nonsense_and_too_much_are_refused_and_the_connection_ends(text, status):
    async with den() as here:
        for connect in (here.connect, here.connect_metrics):
            reader, writer = await connect()
            assert (await exchange(reader, writer, text))[0] == status
            assert await reader.read() == b""
            await close(writer)
    assert not here.world.orders


async def test_a_slow_client_is_cut_and_disturbs_nobody():
    async with den(limits=HttpLimits(request_s=0.1, idle_s=0.1)) as here:
        slow = [await here.connect() for _ in range(3)]
        slow[0][1].write(b"GET /v1/sta")
        slow[1][1].write(b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{")
        assert (await here.get("/v1/status"))[0] == 200
        for reader, writer in slow:
            assert await reader.read() == b""
            await close(writer)
    assert not here.world.orders


async def test_a_client_that_reads_nothing_is_cut():
    world = World()
    async with den(world, HttpLimits(stall_s=0.2, write_s=0.2)) as here:
        for _ in range(2_000):
            world.log("x" * 1_000)
        _, writer = await here.connect()
        writer.write(b"GET /v1/logs?lines=2000 HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.transport.pause_reading()
        await wait_true(lambda: world.open_followers == 1)
        await wait_true(lambda: world.open_followers == 0)
        writer.transport.abort()


async def test_a_thousand_requests_on_many_connections_at_once():
    async with den() as here:

        async def client() -> None:
            reader, writer = await here.connect()
            for _ in range(20):
                assert (await exchange(reader, writer, GET))[0] == 200
            await close(writer)

        await asyncio.gather(*(client() for _ in range(50)))


async def test_one_connection_too_many_is_told_so():
    async with den(limits=HttpLimits(connections_max=2)) as here:
        held = [await here.connect() for _ in range(2)]
        for reader, writer in held:
            assert (await exchange(reader, writer, GET))[0] == 200
        reader, writer = await here.connect()
        assert (await read_head(reader))[0] == 503
        await close(writer)
        await close(held[0][1])
        await wait_true_async(lambda: here.ask(GET))
        await close(held[1][1])


async def wait_true_async(ask) -> None:
    """A place is free once the server has noticed that a client has left."""
    answers = []

    async def once() -> None:
        answers.append((await ask())[0])

    loop = asyncio.get_running_loop()
    end = loop.time() + 5
    while 200 not in answers:
        assert loop.time() < end
        await once()


async def test_a_bug_is_an_answer_and_is_told_to_the_loop():
    class Broken(World):
        def status(self):
            raise RuntimeError("a bug")

    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    async with den(Broken()) as here:
        status, body = await here.get("/v1/status")
        assert (status, "bug" in body["detail"]) == (500, True)
        await wait_true(lambda: told)
        assert (await here.get("/live"))[0] == 200
    assert str(told[0]) == "a bug"


async def test_stopping_ends_idle_connections_polls_and_streams_and_leaves_the_socket_open():
    async with den() as here:
        idle = await here.connect()
        assert (await exchange(*idle, GET))[0] == 200
        poll = await here.connect()
        poll[1].write(b"GET /v1/status?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        stream = await here.connect()
        stream[1].write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_head(stream[0]))[0] == 200
    assert await idle[0].read() == b""
    assert (await read_head(poll[0]))[0] == 503
    assert (await stream[0].read()).endswith(b"\r\n0\r\n\r\n")
    for _, writer in (idle, poll, stream):
        await close(writer)


async def test_a_successor_serves_on_the_same_socket(tmp_path):
    """What a dying server leaves in the queue, the next one answers."""
    world = World()
    with open_control_socket(tmp_path) as listening:
        first = ControlServer(ControlSockets(listening), world, SystemClock(), world.audits.append)
        await first.start()
        await first.stop()
        await first.stop()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        writer.write(GET.encode())
        second = ControlServer(ControlSockets(listening), world, SystemClock(), world.audits.append)
        await second.start()
        assert (await read_head(reader))[0] == 200
        await close(writer)
        await second.stop()


def test_a_dead_socket_is_replaced_and_a_long_path_refused(tmp_path):
    open_control_socket(tmp_path).close()
    with open_control_socket(tmp_path) as listening, socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(tmp_path / "control.sock"))
        assert listening.accept()[0].close() is None
