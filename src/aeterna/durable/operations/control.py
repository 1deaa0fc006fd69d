"""The private socket beside a store's file.

One process owns a SQLite store. While it does, other processes of the same user (the command line in another
terminal) ask it through this socket: one JSON object per line, answered by one JSON object per line (``owner`` is
their end). The socket is 0600 and the peer's user id is checked."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.operations.owner import socket_path
from aeterna.durable.operations.requests import OPS, answer
from aeterna.durable.stores.ledger import Shrinkable
from aeterna.kernel.errors import AeternaError, UsageError

log = logging.getLogger("aeterna.control")

REQUEST_BYTES_MAX = 64 * 1024

Verb = Callable[[Engine, dict[str, Any]], Awaitable[dict[str, Any]]]


async def _cancel(engine: Engine, request: dict[str, Any]) -> dict[str, Any]:
    return {"requested": await engine.cancel(str(request["id"]), str(request.get("reason", "")))}


async def _delete(engine: Engine, request: dict[str, Any]) -> dict[str, Any]:
    return {"deleted": await engine.store.delete_runs([str(run_id) for run_id in request["ids"]])}


async def _vacuum(engine: Engine, _: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(engine.store, Shrinkable):
        raise UsageError(f"{engine.store.description} cannot be made smaller while it is open")
    before, after = await engine.store.vacuum()
    return {"before": before, "after": after}


async def _ping(engine: Engine, _: dict[str, Any]) -> dict[str, Any]:
    return {"pid": os.getpid(), "session": engine.session}


async def _carry_out(engine: Engine, request: dict[str, Any]) -> dict[str, Any]:
    return await answer(OwnWorld(engine), request)


VERBS: dict[str, Verb] = {
    "cancel": _cancel,
    "delete": _delete,
    "ping": _ping,
    "vacuum": _vacuum,
    **dict.fromkeys(OPS, _carry_out),
}


class ControlServer:
    """Answers on the socket of one store for as long as its engine runs."""

    def __init__(self, engine: Engine, store: Path | None) -> None:
        self._engine = engine
        self._path = None if store is None else socket_path(store)
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None

    async def start(self) -> None:
        """Listen. A socket file that is there belongs to a dead process, because this one holds the store's lock.

        Where the file system has no sockets, the app runs without: other processes cannot ask it anything then."""
        if self._path is None:
            return
        try:
            await self._listen(self._path)
        except OSError as error:
            log.warning(
                "no control socket at %s (%s): while this process has the store, no other can cancel or delete runs",
                self._path,
                error,
                extra={"action": "control_socket"},
            )

    async def _listen(self, path: Path) -> None:
        listener = self._listener = _bind(path)
        try:
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=REQUEST_BYTES_MAX)
        except BaseException:
            listener.close()
            raise

    def abandon(self) -> None:
        """Close and remove the socket at once, also when the event loop is about to end."""
        if self._listener is not None and self._path is not None:
            self._listener.close()
            self._listener = None
            self._path.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.abandon()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer.get_extra_info("socket")) in (os.getuid(), 0):
                while line := await reader.readline():
                    writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                    await writer.drain()
        except (ConnectionError, ValueError):
            # The peer went away, or sent a line longer than the limit: it gets no answer, and nobody else is
            # concerned.
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb = VERBS[request["op"]]
        except (ValueError, KeyError, TypeError):
            return {"error": "UsageError", "message": f"the request is no JSON object with an op of {', '.join(VERBS)}"}
        try:
            return await verb(self._engine, request)
        except AeternaError as error:
            return {"error": type(error).__name__, "message": str(error)}
        except (KeyError, TypeError) as error:
            return {"error": "UsageError", "message": f"{request['op']}: {error!r} is missing or of the wrong type"}


def _peer_uid(connection: socket.socket) -> int:
    if not hasattr(socket, "SO_PEERCRED"):
        # Elsewhere than on Linux the socket's mode alone keeps other users out.
        return os.getuid()
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def _bind(path: Path) -> socket.socket:
    """A socket bound to ``path``, which only this user may open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Between bind and chmod nobody can connect: it does not listen yet.
        listener.bind(os.fspath(path))
        path.chmod(0o600)
    except BaseException:
        listener.close()
        raise
    return listener
