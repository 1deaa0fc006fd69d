"""A real supervisor over a real service, in a directory of its own: started, asked, and checked at its end.

What a test leaves running is ended by its id, and the end is examined: no process of the backend may be left.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h11
import yaml

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 20.0

APP = '''"""Answers who it is; breaks in the ways its environment asks for."""
import os, sys, time

VERSION = "one"

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = f"{os.getpid()} {os.environ['AETERNA_GENERATION']} {VERSION}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
'''


PORTS = (10_000, 32_000)
"""Below ``net.ipv4.ip_local_port_range`` as Linux has it."""


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now, of those that connections are not given by themselves."""
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def wait_until(holds: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """What ``holds`` returns, once that is true."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)


class Backend:
    """One configuration and what runs it."""

    def __init__(self, folder: Path, config: dict[str, Any], app: str = APP) -> None:
        self.folder = folder
        self.path = folder / "aeterna.yaml"
        (folder / "app.py").write_text(app)
        self.configure(config)
        # Paths of Unix sockets are short.
        self.runtime = Path(tempfile.mkdtemp(prefix="aeterna-", dir="/tmp"))
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AETERNA_", "LISTEN_"))},
            "XDG_RUNTIME_DIR": str(self.runtime),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.output = folder / "output.log"

    def configure(self, config: dict[str, Any]) -> None:
        """Write the configuration anew."""
        self.path.write_text(yaml.safe_dump(config, sort_keys=False))

    def write_app(self, text: str) -> None:
        """Deploy another version."""
        (self.folder / "app.py").write_text(text)

    # --- commands ----------------------------------------------------------------------------------------------------

    def run(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line in the backend's directory."""
        return subprocess.run(
            [sys.executable, "-m", "aeterna", *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self, *, wait_ready: bool = True, prefix: tuple[str, ...] = ()) -> None:
        """Start it in the foreground of a process of its own."""
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "aeterna", "start", "-c", str(self.path)],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if wait_ready:
            wait_until(self._is_ready, "the service is ready")

    def _is_ready(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"the supervisor has ended with {code}:\n{self.log()}"
        with contextlib.suppress(OSError):
            return bool(self.status()["is_ready"])
        return False

    def stop(self) -> int:
        """Stop it as an operator of containers does, with TERM; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def log(self) -> str:
        """Everything the supervisor has written."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    # --- the control API ---------------------------------------------------------------------------------------------

    @property
    def control(self) -> Path:
        """The control socket."""
        found = list((self.runtime / "aeterna").glob("*/control.sock"))
        if not found:
            raise FileNotFoundError("there is no control socket yet")
        return found[0]

    def ask(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """One request to the control API: the status and the document."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(WAIT_S * 3)
            sock.connect(os.fspath(self.control))
            return request(sock, method, target, body)

    def status(self) -> dict[str, Any]:
        return self.ask("GET", "/v1/status")[1]

    def service(self) -> dict[str, Any]:
        """The document of the one service."""
        return self.status()["services"][0]

    def reload(self, **body: Any) -> dict[str, Any]:
        """Reload and wait for the verdict; returns the report."""
        code, answer = self.ask("POST", "/v1/reload", body or None)
        assert code == 202, answer
        return self.report(answer["id"])

    def report(self, reload_id: str) -> dict[str, Any]:
        """The report of a reload that has ended."""
        return wait_until(lambda: self._ended(reload_id), f"reload {reload_id} has a verdict", 60)

    def _ended(self, reload_id: str) -> dict[str, Any] | None:
        report = self.ask("GET", f"/v1/reloads/{reload_id}?wait=10")[1]
        return report if report["result"] else None

    def settle(self) -> dict[str, Any]:
        """Wait until the service is RUNNING and alone; returns its document."""

        def alone() -> dict[str, Any] | None:
            found = self.service()
            return found if found["state"] == "RUNNING" and len(found["generations"]) == 1 else None

        return wait_until(alone, "one generation runs")

    # --- the end -----------------------------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """Every living process that belongs to the backend, found by its runtime directory."""
        mark = f"XDG_RUNTIME_DIR={self.runtime}".encode()
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        """End whatever is left of it; nothing may be."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(WAIT_S)
        left = self.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(WAIT_S)
        shutil.rmtree(self.runtime)
        assert not left, f"processes were left: {left}\n{self.log()[-4000:]}"


def request(sock: socket.socket, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    """One HTTP request over a connected socket: the status, and the body read as JSON where it is JSON."""
    connection = h11.Connection(h11.CLIENT)
    data = b"" if body is None else json.dumps(body).encode()
    headers = [("host", "aeterna"), ("content-length", str(len(data))), ("connection", "close")]
    events = [h11.Request(method=method, target=target, headers=headers), h11.Data(data=data), h11.EndOfMessage()]
    # All at once: who answers before the end may have closed by then.
    sock.sendall(b"".join(connection.send(event) or b"" for event in events))
    status, received = 0, bytearray()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"the connection ended too early: {error}") from error
        if event is h11.NEED_DATA:
            connection.receive_data(sock.recv(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            received += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise ConnectionError(f"the connection ended too early: {event}")
    text = received.decode()
    return status, json.loads(text) if text.startswith(("{", "[")) else text


def get(port: int, path: str = "/") -> str:
    """The body of one request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as sock:
        status, body = request(sock, "GET", path)
    assert status == 200, body
    return str(body)


def uvicorn_config(port: int, **more: Any) -> dict[str, Any]:
    """One ASGI service under plain uvicorn; ``more`` replaces top keys."""
    return {
        "version": "v1",
        "service": {
            "name": "web",
            "command": [sys.executable, "-m", "uvicorn", "app:app", "--fd", "{fd:http}", "--log-level", "warning"],
        },
        "sockets": {"http": {"listen": f"127.0.0.1:{port}"}},
        "orchestration": {"strategy": "immediate", "drain": {"timeout": "5s", "lame_duck": "100ms"}},
        **more,
    }


@contextlib.contextmanager
def running(folder: Path, config: dict[str, Any], app: str = APP) -> Iterator[Backend]:
    """A started backend, closed at the end."""
    backend = Backend(folder, config, app)
    try:
        backend.start()
        yield backend
    finally:
        backend.close()
