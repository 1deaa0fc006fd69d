"""A tiny world behind the control API: one service whose documents a test sets, and orders answered as it says.

It stands for the daemon where only the protocol's edges are tested.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aeterna.kernel.clock import SystemClock
from aeterna.supervisor.control.connection import HttpLimits
from aeterna.supervisor.control.contract import Answer, Audit, Order, Outcome
from aeterna.supervisor.control.events import EventRing
from aeterna.supervisor.control.server import ControlServer, ControlSockets, open_control_socket, open_tcp_socket
from aeterna.supervisor.metrics import Metrics

TOKEN = "swordfish"


def service_document(**changes: Any) -> dict[str, Any]:
    """A service that runs well."""
    return {
        "name": "web",
        "state": "RUNNING",
        "phase": "RUNNING",
        "is_ready": True,
        "generation": 3,
        "pid": 4711,
        "old_pid": None,
        "uptime_s": 61.5,
        "restarts": 1,
        "weight": 100,
        "lease": 0,
        "memory_bytes": 52_428_800,
        "strategy": "canary",
        "detail": "",
        "last_exit": "",
        "last_exit_at": None,
        "last_words": [],
        "sockets": {"http": "127.0.0.1:8080"},
        "generations": [],
        "reload": None,
        "last_handover": None,
        **changes,
    }


def reload_report(reload_id: str = "web-1", **changes: Any) -> dict[str, Any]:
    """A reload that has just begun."""
    return {
        "id": reload_id,
        "service": "web",
        "result": None,
        "reason": "",
        "from_generation": 3,
        "to_generation": 0,
        "started_at": "2026-01-01T00:00:00.000Z",
        "finished_at": None,
        "duration_ms": 1.0,
        "phases": [{"phase": "PREFLIGHT", "started_ms": 0.0, "duration_ms": None}],
        "state_bytes": 0,
        "blackout_ms": 0.0,
        "requested_by": "",
        "tail": [],
        **changes,
    }


@dataclass
class World:
    """Implements `Supervision`. ``answers`` are given to orders in turn, the last one for ever."""

    services: dict[str, dict[str, Any]] = field(default_factory=lambda: {"web": service_document()})
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Outcome] = field(default_factory=lambda: [Outcome(Answer.ACCEPTED)])
    orders: list[Order] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    events: EventRing = field(default_factory=lambda: EventRing(SystemClock()))
    counts: Metrics = field(default_factory=lambda: Metrics("1.2.3"))
    is_alive: bool = True
    open_followers: int = 0

    def is_live(self) -> bool:
        return self.is_alive

    def is_ready(self) -> bool:
        return all(service["is_ready"] for service in self.services.values())

    def status(self) -> Any:
        first = next(iter(self.services.values()))
        return {
            "fsm_state": first["phase"],
            "current_pid": first["pid"],
            "old_pid": first["old_pid"],
            "uptime": 12.5,
            "last_handover": first["last_handover"],
            "version": "1.2.3",
            "config": "/srv/aeterna.yaml",
            "daemon_pid": 2,
            "keeper_pid": 1,
            "started_at": "2026-01-01T00:00:00.000Z",
            "is_ready": self.is_ready(),
            "warnings": [],
            "services": list(self.services.values()),
        }

    def service_names(self) -> tuple[str, ...]:
        return tuple(self.services)

    def service(self, name: str) -> Any:
        return self.services.get(name)

    def reload_report(self, reload_id: str) -> Any:
        return self.reports.get(reload_id)

    def reload_ids(self) -> tuple[str, ...]:
        return tuple(self.reports)

    async def request(self, order: Order) -> Outcome:
        self.orders.append(order)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def logs(self, service: str | None, lines: int, *, is_following: bool) -> AsyncIterator[Mapping[str, Any]]:
        self.open_followers += 1
        try:
            for line in self.lines[-lines:] if lines else []:
                yield line
            shown = len(self.lines)
            last = self.events.last_id
            while is_following:
                await self.events.wait_after(last)
                last = self.events.last_id
                for line in self.lines[shown:]:
                    yield line
                shown = len(self.lines)
        finally:
            self.open_followers -= 1

    def metrics(self) -> bytes:
        return self.counts.render()

    # --- what a test makes happen ---

    def change(self, name: str = "web", **changes: Any) -> None:
        """The service's document changes, and then there is an event."""
        self.services[name].update(changes)
        self.events.publish("service.state", {"service": name, "to": self.services[name]["state"]})

    def move(self, reload_id: str, phase: str = "", **changes: Any) -> None:
        """The reload enters a phase or ends, and then there is an event."""
        report = self.reports[reload_id]
        if report["phases"][-1]["duration_ms"] is None:
            report["phases"][-1]["duration_ms"] = 5.0
        if phase:
            report["phases"].append({"phase": phase, "started_ms": 5.0, "duration_ms": None})
        report.update(changes)
        self.events.publish("service.state", {"service": report["service"], "reload": reload_id})

    def log(self, text: str) -> None:
        """The service writes a line."""
        at = "2026-01-01T00:00:00.000Z"
        self.lines.append({"at": at, "service": "web", "generation": 3, "stream": "stdout", "text": text})
        self.events.publish("log", {})


@dataclass
class Den:
    """A world with its servers. ``directory`` holds ``control.sock``."""

    world: World
    directory: Path
    port: int
    metrics_port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Over the Unix socket."""
        return await asyncio.open_unix_connection(self.directory / "control.sock")

    async def connect_tcp(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the control API's port."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def connect_metrics(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the metrics' port."""
        return await asyncio.open_connection("127.0.0.1", self.metrics_port)

    async def ask(self, text: str, connect: Any = None) -> tuple[int, dict[str, str], str]:
        """One request on a connection of its own: status, headers, body."""
        reader, writer = await (connect or self.connect)()
        try:
            return await exchange(reader, writer, text)
        finally:
            await close(writer)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """The status and the document."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        status, _, body = await self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n")
        return status, json.loads(body)

    async def post(self, path: str, value: Any = None) -> tuple[int, Any]:
        """The status and the document."""
        body = "" if value is None else json.dumps(value)
        length = f"Content-Length: {len(body.encode())}\r\n"
        status, _, answer = await self.ask(f"POST {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}")
        return status, json.loads(answer)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str
) -> tuple[int, dict[str, str], str]:
    """Send, and read one answer whose length is known."""
    writer.write(text.encode("latin-1"))
    status, headers = await read_head(reader)
    length = 0 if text.startswith("HEAD") else int(headers.get("content-length", 0))
    return status, headers, (await reader.readexactly(length)).decode()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status and the headers, whose names are lower case."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), {name.lower(): value for name, value in headers.items()}


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk of a body; empty for the last one."""
    size = int(await reader.readline(), 16)
    return (await reader.readexactly(size + 2))[:size]


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a client's connection."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def den(world: World | None = None, limits: HttpLimits | None = None) -> AsyncIterator[Den]:
    """The servers, while inside."""
    world = world or World()
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        unix = stack.enter_context(open_control_socket(directory))
        tcp = stack.enter_context(open_tcp_socket("127.0.0.1", 0))
        metrics = stack.enter_context(open_tcp_socket("127.0.0.1", 0))
        sockets = ControlSockets(unix, tcp, metrics, TOKEN, "127.0.0.1")
        server = ControlServer(sockets, world, SystemClock(), world.audits.append, limits)
        await server.start()
        try:
            yield Den(world, directory, port_of(tcp), port_of(metrics))
        finally:
            await server.stop()


def port_of(listening: socket.socket) -> int:
    """The number the kernel gave it."""
    port: int = listening.getsockname()[1]
    return port


async def wait_true(condition: Any, within_s: float = 5.0) -> None:
    """Return once the condition holds; fails after a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not condition():
        assert loop.time() < end, "it did not come true"
        turn = loop.create_future()
        loop.call_later(0.002, turn.set_result, None)
        await turn
