"""The process's end of SRP in this process, and a supervisor that a test plays, frame by frame."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aeterna.handover import memory
from aeterna.handover.channel import Arrival, Channel
from aeterna.handover.client import Client
from aeterna.handover.frames import Kind
from aeterna.handover.gate import Gate, first_role
from aeterna.handover.parts import CODECS, Buffer, BufferPart, Part, ValuePart
from tests.handover.srp_world import open_fds

WITHIN_S = 20.0


def wait_until(holds: Callable[[], Any]) -> Any:
    """What ``holds`` returns, once that is true."""
    end = time.monotonic() + WITHIN_S
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.002)
    return found


class Supervisor:
    """Listens, and talks to one client."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listening = self._listen()
        self.channel: Channel | None = None
        self.hello: dict[str, Any] = {}
        self._question = 0

    def _listen(self) -> socket.socket:
        self.path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.path))
        listening.listen()
        listening.settimeout(WITHIN_S)
        return listening

    def accept(self) -> dict[str, Any]:
        """Take the client's connection; its hello."""
        sock, _ = self._listening.accept()
        sock.settimeout(WITHIN_S)
        self.channel = Channel(sock)
        self.hello = self.expect(Kind.HELLO)
        return self.hello

    def say(self, kind: int, body: dict[str, Any] | None = None, *, fd: int = -1, txn: int = 1) -> None:
        """Ask something."""
        assert self.channel is not None
        self._question += 1
        self.channel.send(Kind(kind), {"txn": txn, "re": self._question, **(body or {})}, fd)

    def receive(self, *, hellos: bool = False) -> Arrival:
        """The next frame; hellos are noted and passed over, unless they are asked for."""
        assert self.channel is not None
        while True:
            found = self.channel.receive()
            if found.kind != Kind.HELLO or hellos:
                return found
            self.hello = found.json()

    def expect(self, kind: Kind) -> dict[str, Any]:
        """The next frame, which is of this type."""
        arrival = self.receive(hellos=kind is Kind.HELLO)
        arrival.close()
        assert arrival.kind == kind, (arrival.kind, arrival.frame.payload)
        return arrival.json()

    def ask(self, kind: Kind, answer: Kind, body: dict[str, Any] | None = None, *, txn: int = 1) -> dict[str, Any]:
        """One question, one answer, which is about it."""
        self.say(kind, body, txn=txn)
        found = self.expect(answer)
        assert (found["re"], found["txn"]) == (self._question, txn)
        return found

    def give(self, parts: dict[str, tuple[str, bytes]], *, txn: int = 1, **more: Any) -> Arrival:
        """Give a state away; the answer."""
        manifests, digests = [], {}
        for name, (codec, data) in parts.items():
            manifest = {"part": name, "codec": codec, "version": 1, "bytes": len(data), "live": False, **more}
            fd = memory.create_sealed(name, data)
            self.say(Kind.PART, manifest, fd=fd, txn=txn)
            os.close(fd)
            manifests.append(manifest)
            digests[name] = memory.digest(data, "xxh3-128")
        self.say(Kind.RESTORE, {"parts": manifests, "digests": digests}, txn=txn)
        return self.receive()

    def hang_up(self) -> None:
        if self.channel is not None:
            self.channel.close()

    def restart(self) -> None:
        """Die, and come again at the same path."""
        self.close()
        self._listening = self._listen()

    def close(self) -> None:
        self.hang_up()
        self._listening.close()


class Talk:
    """A client and its supervisor."""

    def __init__(self, folder: Path, role: str) -> None:
        self.supervisor = Supervisor(folder / "srp.sock")
        environ = {
            "AETERNA_STATE_SOCK": str(folder / "srp.sock"),
            "AETERNA_GENERATION": "3",
            "AETERNA_INSTANCE": "token",
            "AETERNA_ROLE": role,
            "AETERNA_STATE_MODE": "exclusive",
            "AETERNA_SERVICE": "web",
        }
        self.gate = Gate(first_role(environ))
        self.client = Client(environ, self.gate)
        self.buffers: list[Buffer] = []

    def value(self, name: str, value: Any, codec: str = "json", **more: Any) -> Any:
        """Declare an ordinary object."""
        self.client.declare(ValuePart(name, value, codec, CODECS[codec], **more))
        return value

    def buffer(self, name: str, size: int) -> Buffer:
        """Declare a buffer."""
        buffer = Buffer(name, size)
        self.buffers.append(buffer)
        self.client.declare(BufferPart(name, buffer))
        return buffer

    def declare(self, part: Part) -> None:
        self.client.declare(part)


@contextmanager
def talk(role: str = "active") -> Iterator[Talk]:
    """A client that can be talked to; nothing of it is left after the block."""
    before = open_fds()
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    found = Talk(folder, role)
    try:
        yield found
    finally:
        found.client.stop()
        found.supervisor.close()
        for buffer in found.buffers:
            os.close(buffer.fd)
        shutil.rmtree(folder)
    assert open_fds() == before
