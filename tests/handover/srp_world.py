"""The real relay with real processes on it, and peers that a test plays itself, frame by frame.

A world counts the descriptors of this process at its beginning and its end: nothing may be left, whatever happened.
"""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aeterna.handover import frames
from aeterna.handover.channel import Arrival, Channel
from aeterna.handover.frames import Kind
from aeterna.supervisor.host.relay import Relay, RelayLimits, open_relay_socket

WITHIN_S = 20.0
_PAUSE_S = 0.005

REPL = """
import os, signal, sys
from aeterna import handover
exec(compile(sys.argv[1], "generation", "exec"))
print("up", flush=True)
for line in sys.stdin:
    try:
        answer = repr(eval(line))
    except SyntaxError:
        answer = repr(exec(line))
    print(answer, flush=True)
"""


def open_fds() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(holds: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """What ``holds`` returns, once that is true."""
    async with asyncio.timeout(within_s):
        while not (found := holds()):
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), _PAUSE_S)
        return found


class Process:
    """A real process of a generation: some code, and then whatever it is asked to evaluate."""

    def __init__(self, process: subprocess.Popen[str], generation: int) -> None:
        self.process, self.generation = process, generation

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ask(self, expression: str) -> Any:
        """Evaluate it there; what comes back is a literal of Python."""
        return await asyncio.to_thread(self._ask, expression)

    def _ask(self, expression: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return eval(self.read_line())

    def read_line(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], WITHIN_S)
        assert ready, "the process says nothing"
        line = self.process.stdout.readline()
        assert line, f"the process has ended with {self.process.wait(5)}"
        return line

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


class Scripted:
    """A peer that the test plays itself."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.channel = Channel(self.sock)
        self.channel.connect(path)

    def hello(self, generation: int, token: str, *parts: str, **more: Any) -> Scripted:
        """Say who it is."""
        declared = [{"part": part, "codec": "raw"} for part in parts]
        self.send(Kind.HELLO, {"generation": generation, "token": token, "parts": declared, "fds": True, **more})
        return self

    def send(self, kind: int, body: dict[str, Any], fd: int = -1) -> None:
        self.channel.send(Kind(kind), body, fd)

    def send_raw(self, data: bytes) -> None:
        """Bytes that need not be a frame."""
        self.sock.sendall(data)

    async def receive(self, *kinds: Kind) -> Arrival:
        """The next frame of one of these types (default: any but the ACK of a hello)."""
        while True:
            async with asyncio.timeout(WITHIN_S):
                found = await asyncio.to_thread(self.channel.receive)
            if found.kind in kinds or (not kinds and not _is_greeting(found)):
                return found
            found.close()

    async def asked(self, *kinds: Kind) -> dict[str, Any]:
        """The body of the next such frame, its number as ``re`` included."""
        found = await self.receive(*kinds)
        found.close()
        return found.json()

    async def answer(self, asked: Kind, kind: Kind, **body: Any) -> dict[str, Any]:
        """Wait for a question and answer it."""
        question = await self.asked(asked)
        self.send(kind, {"txn": question.get("txn", 0), "re": question["re"], **body})
        return question

    async def wait_closed(self) -> None:
        """Wait until the relay has hung up."""
        with suppress(ConnectionError):
            while True:
                (await self.receive(*Kind)).close()

    def close(self) -> None:
        self.channel.close()


def _is_greeting(found: Arrival) -> bool:
    return found.kind == Kind.ACK and found.json().get("of") == Kind.HELLO


class World:
    """A relay and its surroundings."""

    def __init__(self, directory: Path, limits: RelayLimits) -> None:
        self.path = directory / "srp.sock"
        self.directory = directory
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._limits = limits
        self.relay = self.open_relay()
        self._processes: list[Process] = []
        self._scripted: list[Scripted] = []
        self.pids: set[int] = {os.getpid()}
        self._expected: set[int] = set()

    def open_relay(self) -> Relay:
        """A relay at the path, in place of one that is closed."""
        self.relay = Relay(open_relay_socket(self.path), self._limits, lambda *event: self.events.append(event))
        return self.relay

    def expect(self, generation: int, **more: Any) -> None:
        """Let processes of the generation connect: those that were started here, and this one."""
        self._expected.add(generation)
        self.relay.expect(generation, f"token-{generation}", self.pids.__contains__, **more)

    async def start(
        self, generation: int, code: str, *, role: str = "", argv: tuple[str, ...] = (), **env: str
    ) -> Process:
        """A process of this generation that has connected and declared what it has."""
        self.expect(generation)
        process = self.spawn(generation, code, role=role, argv=argv, **env)
        await until(lambda: any(peer.pid == process.pid and peer.parts for peer in self.relay.peers(generation)))
        return process

    def spawn(self, generation: int, code: str, *, role: str = "", argv: tuple[str, ...] = (), **env: str) -> Process:
        """A process that is starting. The first generation is active, the others candidates."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AETERNA_")}
        given = {
            **clean,
            "AETERNA_STATE_SOCK": str(self.path),
            "AETERNA_INSTANCE": f"token-{generation}",
            "AETERNA_GENERATION": str(generation),
            "AETERNA_ROLE": role or ("active" if generation == 1 else "candidate"),
            "AETERNA_STATE_MODE": "exclusive",
            **env,
        }
        process = subprocess.Popen(
            [*(argv or (sys.executable, "-c", REPL, code))],
            env=given,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pids.add(process.pid)
        self._processes.append(Process(process, generation))
        return self._processes[-1]

    async def up(self, process: Process) -> None:
        """Wait until its code has run."""
        assert await asyncio.to_thread(process.read_line) == "up\n"

    def connect(self) -> Scripted:
        """A peer that has said nothing yet."""
        self._scripted.append(Scripted(str(self.path)))
        return self._scripted[-1]

    async def join(self, generation: int, *parts: str, **more: Any) -> Scripted:
        """A scripted peer that belongs to the generation."""
        if generation not in self._expected:
            self.expect(generation)
        count = len(self.relay.peers(generation))
        peer = self.connect().hello(generation, f"token-{generation}", *parts, **more)
        await until(lambda: len(self.relay.peers(generation)) == count + 1)
        return peer

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of all events of a kind."""
        return [data for name, data in self.events if name == kind]

    def close(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.end()
        for scripted in self._scripted:
            scripted.close()
        self.relay.close()


@asynccontextmanager
async def srp_world(**limits: Any) -> AsyncIterator[World]:
    """A world that is gone after the block, without a trace."""
    # Threads for what blocks are made once, with their descriptors.
    await asyncio.to_thread(os.getpid)
    before = open_fds()
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    world = World(directory, RelayLimits(**limits))
    try:
        yield world
    finally:
        world.close()
        shutil.rmtree(directory)
    await until(lambda: open_fds() == before, 5)


async def hand_over(world: World, old: int, new: int, txn: int = 1, *, timeout_ms: int = 10_000) -> None:
    """The whole way of exclusive state, as the supervisor goes it."""
    relay = world.relay
    await relay.precopy(old, new, txn, timeout_ms)
    await relay.quiesce(old, txn, timeout_ms)
    snapshot = await relay.snapshot(old, txn, timeout_ms, forward_to=new)
    try:
        await relay.restore(new, txn, snapshot, timeout_ms)
    finally:
        snapshot.close()
    await relay.retire(old, txn)
    await relay.lease(new, txn, granted=True)
    await relay.accept(new, txn)


def encoded(kind: Kind, payload: bytes) -> bytes:
    """A frame as bytes."""
    return frames.encode(kind, payload)
