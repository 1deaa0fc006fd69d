"""Real server processes on listeners the test holds, and the wire to tell their gate what a supervisor would.

`SharedPort` is the supervisor's pair of listeners with its switch; `Server` is one process behind one of them.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = "tests.handover"
COMMANDS = {
    "uvicorn": [sys.executable, "-m", "uvicorn", f"{HERE}.serving_app:app", "--fd", "3", "--no-access-log"],
    "uvicorn-h11": [
        *[sys.executable, "-m", "uvicorn", f"{HERE}.serving_app:app", "--fd", "3", "--no-access-log"],
        *["--http", "h11", "--ws", "wsproto", "--loop", "asyncio"],
    ],
    "hypercorn": [sys.executable, "-m", "hypercorn", f"{HERE}.serving_app:app", "--bind", "fd://3"],
    "gunicorn-uvicorn": [
        *[sys.executable, "-W", "ignore", "-m", "gunicorn", f"{HERE}.serving_app:app"],
        *["--worker-class", "uvicorn.workers.UvicornWorker", "--no-control-socket"],
    ],
    "gunicorn-asgi": [
        *[sys.executable, "-m", "gunicorn", f"{HERE}.serving_app:app"],
        *["--worker-class", "asgi", "--no-control-socket"],
    ],
    "gunicorn-gthread": [
        *[sys.executable, "-m", "gunicorn", f"{HERE}.serving_wsgi_app:app"],
        *["--worker-class", "gthread", "--threads", "32", "--no-control-socket"],
    ],
    "run-asgi": [sys.executable, "-m", f"{HERE}.serving_runner", f"{HERE}.serving_app:bare", "--no-access-log"],
}

_TO_FD_3 = (
    "import os, sys\n"
    "os.dup2(int(sys.argv[1]), 3)\n"
    "os.environ['LISTEN_PID'] = str(os.getpid())\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)
_PAUSE_S = 0.01


async def until(holds: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for a condition; fails the test when it does not come."""
    async with asyncio.timeout(within_s):
        while not holds():
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), _PAUSE_S)


class SharedPort:
    """Two listeners on one port, blue and green; new connections go where `steer` says."""

    def __init__(self) -> None:
        self.blue = self._open(0)
        self.port: int = self.blue.getsockname()[1]
        self.green = self._open(self.port)
        self.steer(0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def steer(self, index: int) -> None:
        """Send new connections to blue (0) or green (1): a one-line filter that returns the number."""
        code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, index))
        program = struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
        so_attach_reuseport_cbpf = 51
        self.blue.setsockopt(socket.SOL_SOCKET, so_attach_reuseport_cbpf, program)

    def close(self) -> None:
        self.blue.close()
        self.green.close()

    @staticmethod
    def _open(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
        return listener


class Server:
    """A server process; `ask` drives the gate inside it."""

    def __init__(self, process: subprocess.Popen[bytes], control: Path, log: Path) -> None:
        self.process, self._control, self._log = process, control, log

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def is_answering(self) -> bool:
        assert self.process.poll() is None, self.log
        return self._control.exists()

    def ask(self, command: str) -> str:
        """Tell the gate something and wait for its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self._control))
            connection.sendall(command.encode() + b"\n")
            return connection.makefile().readline().strip()

    async def asked(self, command: str) -> str:
        """As `ask`, while the test's loop goes on."""
        return await asyncio.to_thread(self.ask, command)

    async def end(self, within_s: float = 15.0) -> int:
        """Send TERM and wait for the exit code."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, within_s)


class Servers:
    """Starts servers and leaves none behind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: list[Server] = []

    async def start(
        self,
        command: str | Sequence[str],
        listener: socket.socket | None,
        *,
        listen: str = "",
        environ: dict[str, str] | None = None,
    ) -> Server:
        """A running server that has told it is there."""
        server = self.spawn(command, listener, listen=listen, environ=environ)
        await until(lambda: server.is_answering)
        return server

    def spawn(
        self,
        command: str | Sequence[str],
        listener: socket.socket | None,
        *,
        listen: str = "",
        environ: dict[str, str] | None = None,
    ) -> Server:
        """A server that is starting."""
        argv = list(COMMANDS[command]) if isinstance(command, str) else list(command)
        number = len(self._running)
        control, log = self.directory / f"{number}.sock", self.directory / f"{number}.log"
        given = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AETERNA_", "LISTEN_"))},
            "AETERNA_MANAGED": "1",
            "AETERNA_GENERATION": str(number),
            "AETERNA_ROLE": "active",
            "AETERNA_STATE_MODE": "none",
            "AETERNA_LISTEN": f'{{"http": "{listen}"}}' if listen else "",
            "AETERNA_LAME_DUCK_MS": "300",
            "TEST_CONTROL": str(control),
            "PYTHONUNBUFFERED": "1",
            **(environ or {}),
        }
        fds: tuple[int, ...] = ()
        if listener is not None:
            given = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"} | given
            fds = (listener.fileno(),)
            argv = [sys.executable, "-S", "-c", _TO_FD_3, str(listener.fileno()), *argv]
        with log.open("wb") as output:
            process = subprocess.Popen(argv, env=given, pass_fds=fds, stdout=output, stderr=output)
        server = Server(process, control, log)
        self._running.append(server)
        return server

    def close(self) -> None:
        for server in self._running:
            if server.process.poll() is None:
                # Asked first, so that a master ends its workers.
                server.process.terminate()
        for server in self._running:
            try:
                server.process.wait(5)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


@contextmanager
def servers_for_a_test() -> Iterator[Servers]:
    """Servers whose sockets have short paths, gone after the block."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    servers = Servers(directory)
    try:
        yield servers
    finally:
        servers.close()
        shutil.rmtree(directory)
