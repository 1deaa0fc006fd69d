"""`aeterna serve` as a process: what it says, what it refuses, how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from aeterna.server.settings import settle
from tests.server.world import make_app

OLDER = Path(__file__).parent / "configs" / "aether-E.toml"
"""A file of the older server, as it is."""


class Served:
    """A server's process and where it says it serves."""

    def __init__(self, process: asyncio.subprocess.Process, lines: list[str]) -> None:
        self.process = process
        self.lines = lines
        self.places = dict(re.findall(r"(grpc|http|metrics) (?:http://)?([\d.]+:\d+)", lines[-1]))

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        assert self.process.stderr is not None
        rest = (await asyncio.wait_for(self.process.stderr.read(), 20)).decode()
        return await self.process.wait(), rest


async def begin(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "aeterna", "serve", *arguments]
    return await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=os.environ, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )


@asynccontextmanager
async def serve(folder: Path, *arguments: str) -> AsyncIterator[Served]:
    process = await begin(folder, *arguments)
    lines: list[str] = []
    try:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while not lines or "ready:" not in lines[-1]:
                line = await process.stderr.readline()
                assert line, lines
                lines.append(line.decode().rstrip())
        yield Served(process, lines)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_the_older_file_says_what_it_said_to_the_older_server() -> None:
    settings = settle({"config": str(OLDER)})
    options = settings.options
    assert (options.grpc_port, options.http_port, options.metrics_port) == (7233, 7234, 9090)
    assert (settings.url, settings.is_synchronous) == ("sqlite:///./data/aether.db", True)


async def test_the_older_file_is_served_as_it_is(tmp_path: Path) -> None:
    """The very file; only its ports, which somebody else may have, are overridden by the command line."""
    ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    async with serve(tmp_path, "--config", str(OLDER), *ports) as served:
        assert served.places.keys() == {"grpc", "http", "metrics"}
        assert (tmp_path / "data/aether.db").exists()
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://{served.places['http']}/ready")).json() == {"ready": True}
            assert "aeterna_" in (await http.get(f"http://{served.places['metrics']}/metrics")).text
            async with make_app(served.places["grpc"]):
                start = {"workflow": "doubled", "args": [21]}
                run = await http.post(f"http://{served.places['http']}/api/workflows?namespace=orders", json=start)
                result = await http.get(
                    f"http://{served.places['http']}/api/workflows/{run.json()['run']['id']}/result"
                )
                assert result.json()["result"] == 42
        code, rest = await served.stop()
        assert (code, "stopping" in rest) == (0, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_was_acknowledged_is_there_after_a_stop_and_goes_on_with_the_next_server(
    tmp_path: Path, number: int
) -> None:
    """A run is under way, a caller waits for it and a worker has it when the server is told to stop."""
    ports = ["--db", "s.db", "--grpc-port", "0", "--http-port", "0"]
    async with serve(tmp_path, *ports) as served, httpx.AsyncClient(timeout=30) as http:
        base = f"http://{served.places['http']}/api/workflows"
        async with make_app(served.places["grpc"]):
            body = {"workflow": "asked", "args": ["hi"], "id": "a"}
            assert (await http.post(f"{base}?namespace=orders", json=body)).status_code == 201
            waiting = asyncio.ensure_future(http.get(f"{base}/a/result", params={"timeout_s": 30}))
            await http.get(f"{base}/a")
            code, _ = await served.stop(number)
            assert code == 0
            # Whoever waits is not left hanging; the answer says that the server went, or the connection ends.
            with pytest.raises(httpx.HTTPError):
                (await asyncio.wait_for(waiting, 10)).raise_for_status()
    async with serve(tmp_path, *ports) as served, httpx.AsyncClient(timeout=30) as http:
        base = f"http://{served.places['http']}/api/workflows"
        async with make_app(served.places["grpc"]):
            assert (await http.post(f"{base}/a/signal", json={"name": "name", "payload": "Ada"})).status_code == 200
            assert (await http.get(f"{base}/a/result")).json()["result"] == "hi Ada"


@pytest.mark.parametrize("option", ["--grpc-port", "--http-port", "--metrics-port"])
async def test_a_port_that_somebody_has_is_refused_with_the_name_of_who_has_it(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--grpc-port": "0", "--http-port": "0", option: str(port)}
        process = await begin(tmp_path, "--db", "s.db", *[part for pair in ports.items() for part in pair])
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 2
        assert f"127.0.0.1:{port}" in said.decode()
        assert f"process {os.getpid()} (" in said.decode()


async def test_a_store_that_another_server_has_is_refused(tmp_path: Path) -> None:
    ports = ["--db", "s.db", "--grpc-port", "0", "--http-port", "0"]
    async with serve(tmp_path, *ports):
        process = await begin(tmp_path, *ports)
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 3
        assert "s.db" in said.decode()


async def test_memory_is_only_for_those_who_ask_for_it(tmp_path: Path) -> None:
    async with serve(tmp_path, "--persistence", "memory", "--grpc-port", "0", "--http-port", "0") as served:
        assert any("nothing survives" in line for line in served.lines)
    assert not list(tmp_path.iterdir())
