"""Connections that landed on a colour nobody accepts on, carried to where somebody does.

The kernel chooses the socket when the SYN comes. If the weights change before the handshake ends, the connection waits
at a colour whose generation is gone. The supervisor accepts it, connects to the listener's own address like any client
(steering sends that to the serving colour) and copies bytes both ways, so the client notices nothing; the application
sees the supervisor as its peer.

It knows a listener and a colour, no generations. Invariants: a probe is never carried (it would vouch for the wrong
generation), nor is a connection of our own (if steering sends it back here it would go round for ever): both are reset.
Every socket is closed when `stop` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from typing import cast

from aeterna.supervisor.host import connecting
from aeterna.supervisor.host.listeners import Colour, Listener
from aeterna.supervisor.host.probe_ports import PROBE_SOURCES, ProbeSources

ACCEPTS_AT_ONCE = 64
CONNECT_TIMEOUT_S = 10.0
EXHAUSTED_PAUSE_S = 0.1
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
RESET_ON_CLOSE = struct.pack("=ii", 1, 0)

Address = tuple[str, int]


class StragglerWatch:
    """Watches one colour. Start it when the last process that accepted there is gone; `pause` it before the next one
    accepts: connections that are being carried go on. `stop` cuts them.

    ``count``: stragglers carried so far; ``failed_count``: those that found nobody to serve them and were reset;
    ``open_count``: being carried now.
    """

    def __init__(self, listener: Listener, colour: int, sources: ProbeSources = PROBE_SOURCES) -> None:
        self._listener = listener
        self._sock = listener.socket_of(colour)
        self._colour = Colour(colour)
        self._sources = sources
        self._tasks: set[asyncio.Task[None]] = set()
        self._outgoing: set[Address] = set()
        self._is_watching = False
        self._retry: asyncio.TimerHandle | None = None
        self.count = 0
        self.failed_count = 0

    @property
    def open_count(self) -> int:
        return len(self._tasks)

    async def start(self) -> None:
        """Accept what lands there from now on. Does nothing for a shared socket, which somebody else serves."""
        if self._listener.is_steerable and not self._is_watching:
            self._is_watching = True
            self._resume()

    def pause(self) -> None:
        """Accept nothing more; what is being carried goes on. `start` again when nobody else accepts."""
        self._is_watching = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())

    async def stop(self) -> None:
        """Accept nothing more, cut what is being carried, and wait until every socket is closed."""
        self.pause()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_until_idle(self) -> None:
        """Return when nothing is being carried any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _resume(self) -> None:
        self._retry = None
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        self._sock.setblocking(False)  # the flag is shared, and a child may have changed it
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                client, peer = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._refused(error)
                return
            self._take(client, _plain(peer))

    def _refused(self, error: OSError) -> None:
        """Out of descriptors: look again a little later. Shut down by somebody: there is nothing left to watch."""
        if error.errno in {errno.ECONNABORTED, errno.EPROTO, errno.EINTR}:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        if error.errno in EXHAUSTED:
            self._retry = loop.call_later(EXHAUSTED_PAUSE_S, self._resume)
        else:
            self._is_watching = False

    def _take(self, client: socket.socket, peer: Address) -> None:
        if self._sources.owns(peer) or peer in self._outgoing:
            _reset(client)
            return
        task = asyncio.get_running_loop().create_task(self._carry(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: _reset(client))  # also of a task that is cancelled before it began

    async def _carry(self, client: socket.socket) -> None:
        carriage = _Carriage()
        try:
            server = await self._connect()
            if server is None:
                self.failed_count += 1
                return
            own = _plain(server.getsockname())
            try:
                self.count += 1
                await carriage.run(client, server)
            finally:
                self._outgoing.discard(own)
        finally:
            await carriage.abort()

    async def _connect(self) -> socket.socket | None:
        """A connection to whoever serves now; None if there is nobody. Its own address is known before it arrives."""
        family, address = self._listener.reach()[0]
        with contextlib.ExitStack() as on_failure:
            try:
                sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connecting.begin(sock, address)
                own = _plain(sock.getsockname())
                self._outgoing.add(own)
                on_failure.callback(self._outgoing.discard, own)
                await connecting.wait_until_connected(sock, CONNECT_TIMEOUT_S)
            except OSError:
                return None
            on_failure.pop_all()
            return sock


class _Carriage:
    """Two connections, each copied into the other, half-closes and resets included."""

    def __init__(self) -> None:
        self._ends: tuple[_End, ...] = ()

    async def run(self, client: socket.socket, server: socket.socket) -> None:
        """Carry until both directions have ended. The sockets are closed by then, or by `abort`."""
        ends = (_End(server), _End(client))
        ends[0].other, ends[1].other = ends[1], ends[0]
        loop = asyncio.get_running_loop()
        for end, sock in zip(ends, (server, client), strict=True):
            try:
                await loop.connect_accepted_socket(end.itself, sock)
            except BaseException:
                server.close()
                raise
            self._ends = (*self._ends, end)
        for end in ends:
            end.flush()
        await asyncio.wait([end.lost for end in ends])

    async def abort(self) -> None:
        for end in self._ends:
            end.abort()
        if self._ends:
            await asyncio.wait([end.lost for end in self._ends])


class _End(asyncio.Protocol):
    """One of the two connections; what it reads is written to ``other``."""

    other: _End

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self.has_ended = False
        self._early = bytearray()  # for an other end that is not connected yet

    def itself(self) -> _End:
        """What the loop calls a protocol's factory."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def data_received(self, data: bytes) -> None:
        if self.other.transport is None:
            self._early += data
        else:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """The reader half is over. The transport stays until the other direction has ended too."""
        self.has_ended = True
        if self.other.transport is not None:
            self._end_other()
        return True

    def flush(self) -> None:
        """Both are connected: pass on what came before."""
        assert self.other.transport is not None, "both are connected"
        if self._early:
            self.other.transport.write(bytes(self._early))
            self._early.clear()
        if self.has_ended:
            self._end_other()

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        if self.other.transport is not None and not self.other.lost.done():
            if exc is None:
                self.other.transport.close()  # writes what it still has
            else:
                self.other.abort()

    def abort(self) -> None:
        """End it with a reset, as its other end did or must."""
        if self.transport is None or self.lost.done():
            return
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()

    def _end_other(self) -> None:
        other = self.other
        assert other.transport is not None, "both are connected"
        if other.transport.is_closing():
            return
        if other.has_ended and self.transport is not None:
            other.transport.close()
            self.transport.close()
        else:
            other.transport.write_eof()


def _plain(address: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """Host and port; an IPv4 client of an IPv6 socket as IPv4."""
    return address[0].removeprefix("::ffff:"), address[1]


def _reset(sock: socket.socket) -> None:
    if sock.fileno() >= 0:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        sock.close()
