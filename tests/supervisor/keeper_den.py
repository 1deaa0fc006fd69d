"""A real keeper whose daemon is a puppet: it hands its link to the test, so the test is the daemon, and can be killed.

`Den` starts the keeper, `Den.daemon` waits for the next daemon and connects to the keeper with the real client. Nothing
below the keeper survives the block.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aeterna.supervisor.host.keeping import Child, Exit, Inventory, Keeping, SpawnRequest, keeper_command
from aeterna.supervisor.host.process_tree import descendants

_PUPPET = """
import os, signal, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
for number in (1, 2, 10, 12, 15):
    signal.signal(number, lambda number, frame: sock.send(b"signal %d" % number))
sock.connect(sys.argv[1])
fd = int(os.environ["AETERNA_KEEPER_FD"])
socket.send_fds(sock, [b"%d" % os.getpid()], [fd])
os.close(fd)
while True:
    word = sock.recv(100)
    if word.startswith(b"exit"):
        os._exit(int(word.split()[1]))
    elif not word:
        os._exit(0)
    os.write(2, word)
"""

PYTHON = (sys.executable, "-I", "-S", "-c")


async def until(holds: Callable[[], object], what: str, within_s: float = 10.0) -> None:
    """Return as soon as it holds; fail when it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not holds():
        assert loop.time() < deadline, f"waited {within_s:g} s in vain until {what}"
        await pause()


async def pause() -> None:
    """Let the other processes of the test have a turn."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.003)


async def turn() -> None:
    """Let what is ready in this event loop run, once."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(done.set_result, None)
    await done


def hold_loop_until(holds: Callable[[], object], what: str, within_s: float = 10.0) -> None:
    """As `until`, but the event loop stands still: what arrives meanwhile is read in one go."""
    never = threading.Event()
    for _ in range(round(within_s / 0.003)):
        if holds():
            return
        never.wait(0.003)
    raise AssertionError(f"waited {within_s:g} s in vain until {what}")


@dataclass
class Daemon:
    """The test's own daemon. ``exits``: what the keeper told, in that order; ``signals``: what it forwarded."""

    pid: int
    keeping: Keeping
    inventory: Inventory
    puppet: socket.socket
    exits: list[Exit] = field(default_factory=list)
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def spawn(self, key: str, *argv: str, fds: Sequence[int] = (), **options: object) -> Child:
        """Start a process with the test's own PATH and nothing else in its environment."""
        env = {"PATH": os.environ["PATH"]}
        request = SpawnRequest(**{"key": key, "argv": argv, "env": env, **options})  # type: ignore[arg-type]
        return await self.keeping.spawn(request, fds)

    async def exit_of(self, key: str) -> Exit:
        """Wait until the keeper has told how this process ended."""
        await until(lambda: any(each.key == key for each in self.exits), f"{key} has ended")
        return next(each for each in self.exits if each.key == key)

    async def word(self) -> str:
        """The next thing the puppet reports; empty when it is gone."""
        async with asyncio.timeout(10):
            return (await asyncio.get_running_loop().sock_recv(self.puppet, 100)).decode()

    def order(self, word: str) -> None:
        """Have the puppet do something: ``exit CODE``, or say the word on its standard error."""
        self.puppet.send(word.encode())

    async def kill(self) -> None:
        """End the puppet by SIGKILL, and the link with it."""
        os.kill(self.pid, signal.SIGKILL)
        await self.leave()

    async def leave(self) -> None:
        """Wait until the puppet is gone, then close what the test holds of it."""
        while await self.word():
            pass
        self.close()

    def close(self) -> None:
        self.keeping.close()
        self.puppet.close()


class Den:
    """A keeper and where its daemons report."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "puppet.sock"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.listener.setblocking(False)
        self.daemons: list[Daemon] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._stderr = (directory / "stderr").open("w+b")

    def command(self, **options: object) -> list[str]:
        """The keeper's command with the puppet for a daemon."""
        return keeper_command([*PYTHON, _PUPPET, str(self.path)], **options)  # type: ignore[arg-type]

    def start(
        self, command: Sequence[str] = (), *, prefix: Sequence[str] = (), pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Run the keeper."""
        self.process = subprocess.Popen(
            [*prefix, *(command or self.command())], stderr=self._stderr, stdin=subprocess.DEVNULL, pass_fds=pass_fds
        )
        return self.process

    async def greeting(self) -> tuple[socket.socket, int, int]:
        """The next puppet before it greets: its socket, its pid, and the descriptor of its link."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(15):
            sock, _ = await loop.sock_accept(self.listener)
            sock.setblocking(False)
            while True:
                try:
                    word, fds, _flags, _ = socket.recv_fds(sock, 100, 1)
                    return sock, int(word), fds[0]
                except BlockingIOError:
                    await pause()

    async def daemon(self, *, connected: tuple[socket.socket, int, int] | None = None) -> Daemon:
        """Wait for the next daemon, and greet the keeper in its place."""
        sock, pid, fd = connected or await self.greeting()
        keeping = await Keeping.connect(fd)
        daemon = Daemon(pid, keeping, keeping.inventory(), sock)
        keeping.watch(daemon.exits.append, daemon.is_gone.set)
        self.daemons.append(daemon)
        return daemon

    async def exit_code(self, within_s: float = 15.0) -> int:
        """Wait for the keeper's end."""
        process = self.process
        assert process is not None
        await until(lambda: process.poll() is not None, "the keeper has ended", within_s)
        assert process.returncode is not None
        return process.returncode

    def stderr(self) -> str:
        """What the keeper (and the puppets) said."""
        return (self.directory / "stderr").read_text()

    def close(self) -> None:
        """Kill the keeper and everything below it, however deep."""
        for each in self.daemons:
            each.close()
        if self.process is not None and self.process.poll() is None:
            # Stopped first, so that it cannot start one more while it is being looked at.
            self.process.send_signal(signal.SIGSTOP)
            below = descendants(self.process.pid)
            self.process.kill()
            self.process.wait()
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.listener.close()
        self._stderr.close()


@contextlib.asynccontextmanager
async def open_den() -> AsyncIterator[Den]:
    """A den with a keeper not yet started."""
    directory = Path(tempfile.mkdtemp(prefix="ak-", dir="/tmp"))
    den = Den(directory)
    try:
        yield den
    finally:
        den.close()
        for daemon in den.daemons:
            for state in daemon.inventory.children:
                if state.child is not None:
                    state.child.close()
        shutil.rmtree(directory)
