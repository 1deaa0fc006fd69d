"""The runner: when it accepts, how it leaves, and what it says when it cannot start."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets

from tests.handover.serving_clients import Answer, connection_to, get
from tests.handover.serving_servers import COMMANDS, Servers, SharedPort, servers_for_a_test, until

RUN = COMMANDS["run-asgi"]
RUNNER = RUN[:3]
LOOPS = ["asyncio", "uvloop"]
PAUSED = {"AETERNA_STATE_MODE": "exclusive", "AETERNA_ROLE": "candidate"}


@pytest.fixture
def port() -> Iterator[SharedPort]:
    port = SharedPort()
    yield port
    port.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_for_a_test() as servers:
        yield servers


def waiting(listener: socket.socket) -> int:
    """Connections in the accept queue."""
    return int(struct.unpack_from("I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0])


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_candidate_for_exclusive_state_is_started_and_accepts_when_it_is_activated(
    loop: str, port: SharedPort, servers: Servers
) -> None:
    server = await servers.start([*RUN, "--loop", loop], port.blue, environ=PAUSED)
    async with connection_to(port.port) as connection:
        await connection.send("/")
        assert await server.asked("role") == '"PAUSED"'
        assert waiting(port.blue) == 1
        await server.asked("activate")
        assert (await connection.answer()).status == 200


@pytest.mark.parametrize("loop", LOOPS)
async def test_what_arrives_while_it_is_paused_waits_and_none_of_it_is_lost(
    loop: str, port: SharedPort, servers: Servers
) -> None:
    server = await servers.start([*RUN, "--loop", loop], port.blue)
    asked = 0
    for _ in range(3):
        assert await server.asked("pause 1000") == "0"
        asking: list[asyncio.Task[Answer]] = []

        def one_more_waits(asking: list[asyncio.Task[Answer]] = asking) -> bool:
            # Those that come before the loop has heard of the pause wait in the middleware, the others in the kernel.
            asking.append(asyncio.create_task(get(port.port, "/count")))
            return waiting(port.blue) > 5

        await until(one_more_waits)
        assert not any(task.done() for task in asking)
        await server.asked("resume")
        assert {answer.status for answer in await asyncio.gather(*asking)} == {200}
        asked += len(asking)
    assert (await get(port.port, "/count")).body == str(asked + 1).encode()


async def test_term_lets_an_accepted_connection_ask_and_an_idle_one_ask_again(
    port: SharedPort, servers: Servers
) -> None:
    server = await servers.start([*RUN, "--lame-duck", "0.5"], port.blue)
    async with connection_to(port.port) as fresh, connection_to(port.port) as idle, connection_to(port.port) as unused:
        assert not (await idle.get("/")).is_last
        await get(port.port, "/")
        server.process.terminate()
        await until(lambda: "leaving" in server.log)
        for connection in (idle, fresh):
            assert (await connection.get("/")).is_last
            assert await connection.is_closed()
        assert await unused.is_closed()
    assert await server.end() == 0


async def test_after_term_the_end_of_a_stream_leaves_time_for_one_more_request(
    port: SharedPort, servers: Servers
) -> None:
    """Its headers went out before the drain, so that its client could not know."""
    server = await servers.start([*RUN, "--lame-duck", "0.3"], port.blue)
    async with connection_to(port.port) as connection:
        await connection.send("/stream/s")
        assert not (await connection.head()).is_last
        server.process.terminate()
        await until(lambda: "leaving" in server.log)
        await server.asked("release s")
        assert [part async for part in connection.parts()] == [b"first", b"last"]
        answer = await connection.get("/")
        assert answer.status == 200
        assert answer.is_last
    assert await server.end() == 0


async def test_a_person_at_the_terminal_does_not_wait_for_idle_clients(port: SharedPort, servers: Servers) -> None:
    server = await servers.start([*RUN, "--lame-duck", "60"], port.blue)
    async with connection_to(port.port) as idle:
        await idle.get("/")
        server.process.send_signal(signal.SIGINT)
        assert await idle.is_closed()
    assert await asyncio.to_thread(server.process.wait, 5) == 0


async def test_past_the_grace_requests_are_cancelled_and_websockets_told(port: SharedPort, servers: Servers) -> None:
    environ = {"AETERNA_WS_CLOSE_SPREAD_MS": "60000"}
    server = await servers.start([*RUN, "--grace", "0.3"], port.blue, environ=environ)
    first = await websockets.connect(f"ws://{port.address}/echo")
    second = await websockets.connect(f"ws://{port.address}/echo")
    async with connection_to(port.port) as connection:
        await connection.send("/hang")
        assert await server.end() == 0
        for client in (first, second):
            await client.wait_closed()
            assert client.close_code == 1012


async def test_asking_twice_ends_what_does_not_end(port: SharedPort, servers: Servers) -> None:
    server = await servers.start(RUN, port.blue)
    async with connection_to(port.port) as connection:
        await connection.send("/hang")
        await until(lambda: server.ask("inflight") == "1")
        server.process.terminate()
        await until(lambda: "leaving" in server.log)
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, 5) == 0


async def test_when_descriptors_run_out_connections_wait_and_are_served_later(
    port: SharedPort, servers: Servers
) -> None:
    server = await servers.start(RUN, port.blue)
    pid = server.process.pid
    assert (await get(port.port, "/")).status == 200
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
    async with connection_to(port.port) as first:
        assert (await first.get("/")).status == 200
        async with connection_to(port.port) as second:
            await second.send("/")
            await until(lambda: "Too many open files" in server.log)
            await first.close()
            assert (await second.answer()).status == 200


async def test_it_is_ready_when_the_startup_of_the_application_is_done(port: SharedPort, servers: Servers) -> None:
    with servers_for_a_test() as _, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = f"/tmp/aeterna-notify-{os.getpid()}.sock"
        Path(path).unlink(missing_ok=True)
        notify.bind(path)
        notify.settimeout(10)
        server = servers.spawn(RUN, port.blue, environ={"NOTIFY_SOCKET": path})
        told = await asyncio.to_thread(notify.recv, 4096)
        Path(path).unlink()
    assert told.startswith(b"READY=1")
    assert "Application startup complete" in server.log


async def test_it_serves_on_the_sockets_that_are_named(port: SharedPort, servers: Servers) -> None:
    names = {"LISTEN_FDNAMES": "admin"}
    await servers.start([*RUN, "--socket", "admin"], port.blue, environ=names)
    assert (await get(port.port, "/")).status == 200
    wrong = servers.spawn([*RUN, "--socket", "http"], port.green, environ=names)
    assert await asyncio.to_thread(wrong.process.wait, 10) != 0
    assert "no listening socket is called 'http'; there are admin" in wrong.log


async def test_it_serves_a_unix_socket(servers: Servers, tmp_path: Path) -> None:
    path = f"/tmp/aeterna-serving-{os.getpid()}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        await servers.start(RUN, listener)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert b"200 OK" in await reader.read()
        writer.close()
        await writer.wait_closed()
    Path(path).unlink()


async def test_without_a_supervisor_it_listens_itself(servers: Servers) -> None:
    server = await servers.start([*RUN, "--port", "0"], None, environ={"AETERNA_MANAGED": ""})
    await until(lambda: "serving on http://127.0.0.1:" in server.log)
    own_port = int(server.log.split("serving on http://127.0.0.1:")[1].split()[0])
    assert (await get(own_port, "/")).status == 200
    assert await server.end() == 0


def run(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """The runner to its end, with modules of that directory."""
    command = [*RUNNER, *arguments, "--app-dir", str(directory), "--port", "0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("text", "app", "said"),
    [
        ("", "missing:app", 'Could not import module "missing"'),
        ("", "broken:nothing", 'Attribute "nothing" not found in module "broken"'),
        ("import no_such_package", "broken:app", "No module named 'no_such_package'"),
        ("raise RuntimeError('no database')", "broken:app", "RuntimeError: no database"),
        ("def app(:", "broken:app", "SyntaxError"),
    ],
)
def test_an_application_that_cannot_be_imported_ends_it_with_code_3_and_the_reason(
    text: str, app: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(text)
    ended = run(app, directory=tmp_path)
    assert ended.returncode == 3
    assert said in ended.stderr


def test_a_startup_that_fails_ends_it_with_code_3(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    ended = run("broken:app", directory=tmp_path)
    assert ended.returncode == 3
    assert "no database" in ended.stderr


def test_an_address_in_use_ends_it_with_code_3(tmp_path: Path) -> None:
    (tmp_path / "fine.py").write_text("async def app(scope, receive, send): raise NotImplementedError\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*RUNNER, "fine:app", "--app-dir", str(tmp_path), "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr


def test_a_factory_makes_the_application(tmp_path: Path) -> None:
    """And what it raises is told like any other import that failed."""
    (tmp_path / "made.py").write_text("def make():\n    raise RuntimeError('made wrongly')\n")
    ended = run("made:make", "--factory", directory=tmp_path)
    assert ended.returncode == 3
    assert "made wrongly" in ended.stderr


def test_the_help_needs_no_web_server() -> None:
    program = (
        "import sys\n"
        "from aeterna.cli.commands import run_asgi\n"
        "import aeterna.handover.asgi, aeterna.handover.wsgi, aeterna.handover.starlette_lifespan\n"
        "print(sorted({'uvicorn', 'h11', 'starlette', 'pydantic'} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
