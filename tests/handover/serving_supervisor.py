"""A supervisor reduced to what a server sees of it: a port with two listeners, and the real relay."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from aeterna.supervisor.host.relay import Relay, RelayLimits
from tests.handover.serving_servers import Server, Servers, SharedPort, until

TIMEOUT_MS = 5_000


class Supervisor:
    """Starts generations of one service and moves its state from one to the next."""

    def __init__(self, servers: Servers, port: SharedPort, directory: Path) -> None:
        self._servers, self._port = servers, port
        self._path = directory / "srp.sock"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self._path))
        self._listening.listen()
        self.relay = Relay(self._listening, RelayLimits(), lambda _kind, _data: None)
        self.running: dict[int, Server] = {}
        self.txn = 0

    async def start(self, kind: str | list[str], generation: int) -> Server:
        """A generation that has said hello: the first one serves, others are candidates."""
        token = f"token-{generation}-{os.getpid()}"
        self.relay.expect(generation, token, lambda _pid: True)
        environ = {
            "AETERNA_STATE_MODE": "exclusive",
            "AETERNA_STATE_SOCK": str(self._path),
            "AETERNA_INSTANCE": token,
            "AETERNA_GENERATION": str(generation),
            "AETERNA_ROLE": "active" if generation == 1 else "candidate",
        }
        listener = self._listeners[generation % 2]
        server = await self._servers.start(kind, listener, listen=self._port.address, environ=environ)
        await until(lambda: self.relay.peers(generation))
        self.running[generation] = server
        return server

    @property
    def _listeners(self) -> tuple[socket.socket, socket.socket]:
        return self._port.green, self._port.blue

    async def quiesce(self, old: int, *, lame_duck_ms: int = 50) -> None:
        """New connections wait for the next generation; the old one has told its clients, and stops."""
        self.txn += 1
        await self.relay.drain(old, self.txn, lame_duck_ms)
        self._port.steer(old % 2)
        await self.relay.quiesce(old, self.txn, TIMEOUT_MS)

    async def move(self, old: int, new: int) -> None:
        """The state, the lease and the traffic."""
        snapshot = await self.relay.snapshot(old, self.txn, TIMEOUT_MS, forward_to=new)
        try:
            await self.relay.restore(new, self.txn, snapshot, TIMEOUT_MS)
        finally:
            snapshot.close()
        await self.relay.lease(old, self.txn, granted=False)
        await self.relay.lease(new, self.txn, granted=True)
        await self.relay.accept(new, self.txn)
        await self.relay.standby(old, self.txn)

    async def resume(self, old: int) -> None:
        """It did not work out."""
        await self.relay.resume(old, self.txn)
        self._port.steer(1 - old % 2)

    async def end(self, generation: int) -> None:
        """The generation is not needed any more."""
        await self.running.pop(generation).end()
        self.relay.forget(generation)

    def close(self) -> None:
        self.relay.close()
        self._listening.close()
