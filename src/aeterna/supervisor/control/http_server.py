"""An HTTP/1.1 server over listening sockets that were opened elsewhere.

Starts and stops; between the two every connection is served by one task. It knows who may come in (`admission`) and how
many, and nothing of what is asked. Stopping is clean: what is idle is closed, streams end with their last chunk, a
request under way is answered, and whoever takes longer than that is cut.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

from aeterna.supervisor.control.admission import Door
from aeterna.supervisor.control.answers import Response, Stream
from aeterna.supervisor.control.connection import Connection, Handler, HttpLimits, Request, Stage

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class HttpServer:
    """Serves ``handler`` on the sockets, each with its door. The sockets are listening and stay the caller's."""

    def __init__(
        self, doors: Sequence[tuple[socket.socket, Door]], handler: Handler, limits: HttpLimits | None = None
    ) -> None:
        self._doors = doors
        self._handler = handler
        self._limits = limits or HttpLimits()
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._stopping = asyncio.Event()

    @property
    def connection_count(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self) -> None:
        """Accept from now on."""
        for listening, door in self._doors:
            # A server closes its socket when it ends; the one that was handed in may have to outlive it.
            self._servers.append(await self._serve_on(listening.dup(), door))

    async def stop(self) -> None:
        """Accept no longer, finish what is under way, close everything. Twice does no harm."""
        self._stopping.set()
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for task, connection in list(self._connections.items()):
            if connection.stage is Stage.IDLE:
                task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=self._limits.closing_s)
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _serve_on(self, listening: socket.socket, door: Door) -> asyncio.Server:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("socket")
            if len(self._connections) >= self._limits.connections_max:
                writer.write(_FULL)
                writer.close()
                return
            caller = door.caller(peer)
            connection = Connection((reader, writer), caller, self._limits, self._stopping)
            task = asyncio.get_running_loop().create_task(self._serve(connection, writer, door))
            self._connections[task] = connection
            task.add_done_callback(self._ended)

        if listening.family is socket.AF_UNIX:
            return await asyncio.start_unix_server(connected, sock=listening)
        return await asyncio.start_server(connected, sock=listening)

    async def _serve(self, connection: Connection, writer: asyncio.StreamWriter, door: Door) -> None:
        async def handle(request: Request) -> Response | Stream:
            door.admit(request.caller, request.headers)
            return await self._handler(request)

        try:
            # A peer that leaves or stalls is nobody's fault here.
            with suppress(OSError, TimeoutError):
                await connection.serve(handle)
            await self._close(writer)
        finally:
            writer.transport.abort()

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._limits.write_s):
                await writer.wait_closed()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()):
            context = {"message": "a connection of the control API failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
