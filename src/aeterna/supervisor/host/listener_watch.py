"""What can happen to listening sockets that others share, and its repair.

A child holds the same open socket as the supervisor: its ``shutdown()`` ends listening for everybody and resets what
waits. And any process of the same user may join the ``SO_REUSEPORT`` group, or bind a more specific address. This file
finds both; it knows listeners, not weights (after a repair the group's order has changed: `Steering.restore`).

`inspect` costs two system calls and the first rows of ``/proc/net/tcp``; `ShutdownWatch` tells at once, without asking.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import select
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aeterna.supervisor.host import port_holder, sock_diag
from aeterna.supervisor.host.listeners import Colour, Listener, listens
from aeterna.supervisor.host.port_holder import ListeningSocket, PortHolder


@dataclass(frozen=True, slots=True)
class Stranger:
    """A socket of somebody else that is offered our connections. ``in_group``: it shares the very address, and so
    stands in the kernel's group; else its address is more specific, and it takes all that come there."""

    where: str
    in_group: bool
    holders: tuple[PortHolder, ...]

    def __str__(self) -> str:
        who = ", ".join(str(each) for each in self.holders) or "a process that this user may not look at"
        return f"{who} listens on {self.where}"


@dataclass(frozen=True, slots=True)
class ListenerState:
    """``closed``: colours that no longer listen; ``path_is_lost``: the Unix socket's file was removed or replaced."""

    closed: tuple[Colour, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    path_is_lost: bool = False

    @property
    def is_sound(self) -> bool:
        return self == ListenerState()


def inspect(listener: Listener, ours: Iterable[Listener] = ()) -> ListenerState:
    """How the listener is. ``ours``: all other listeners of this supervisor, which are no strangers."""
    closed = tuple(Colour(at) for at, sock in enumerate(listener.colours) if not listens(sock))
    if listener.family == socket.AF_UNIX:
        return ListenerState(closed, path_is_lost=not listener.owns_path())
    known = {sock_diag.socket_inode(sock) for each in (listener, *ours) for sock in each.colours}
    return ListenerState(closed, tuple(_strangers(listener, known)))


def count_in_group(listener: Listener) -> int:
    """How many sockets stand in the kernel's group, strangers included."""
    host, port = listener.tcp_address
    rows = port_holder.listening_on(port)
    found = sum(row.family == listener.family and row.host == host for row in rows)
    return max(found, sum(listens(sock) for sock in listener.colours))


def revive(listener: Listener, colour: Colour) -> None:
    """Let a colour listen again that was shut down. What waited in its queue is lost; it now stands last in its group.

    Raises `OSError`: a Unix socket cannot be revived (open a new listener at its path and replace the children), and
    a TCP one cannot if somebody has bound its address meanwhile.
    """
    sock = listener.socket_of(colour)
    _forget_shutdown(sock)
    if listener.spec.nodelay and listener.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.listen(listener.spec.backlog)
    if not listens(sock):
        raise OSError(f"socket {listener.name!r} was shut down, and this system cannot open it again")
    if listener.is_steerable:
        listener.order = (*(each for each in listener.order if each is not colour), colour)


def reassert_backlog(listener: Listener) -> None:
    """Give the queues the configured length again: a child that calls ``listen()`` sets its own, often smaller."""
    for sock in listener.colours:
        if listens(sock):
            sock.listen(listener.spec.backlog)


class ShutdownWatch:
    """Calls ``on_shutdown`` once for each colour that stops listening, at once; `rearm` after a revival.

    Asks the kernel for nothing but the end (``EPOLLHUP``), so that connections do not wake the loop. Where there is no
    epoll it does nothing: then `inspect` is all there is.
    """

    def __init__(self, listener: Listener, on_shutdown: Callable[[Colour], None]) -> None:
        self._listener = listener
        self._on_shutdown = on_shutdown
        self._epoll: select.epoll | None = None

    def start(self) -> None:
        """Begin to watch; needs a running loop. A second call does nothing."""
        if self._epoll is not None or not hasattr(select, "epoll"):
            return
        self._epoll = select.epoll()
        for sock in self._listener.colours:
            self._epoll.register(sock, 0)
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._ended)

    def rearm(self, colour: Colour) -> None:
        """Watch a colour again that listens again."""
        if self._epoll is not None:
            with contextlib.suppress(FileExistsError):
                self._epoll.register(self._listener.socket_of(colour), 0)

    def stop(self) -> None:
        """Watch no more. May be called twice."""
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _ended(self) -> None:
        assert self._epoll is not None, "the reader is removed before the epoll is closed"
        ended = {fd for fd, _ in self._epoll.poll(0)}
        for at, sock in enumerate(self._listener.colours):
            if sock.fileno() in ended:
                self._epoll.unregister(sock)
                self._on_shutdown(Colour(at))


def _strangers(listener: Listener, known: set[int | None]) -> Iterable[Stranger]:
    host, port = listener.tcp_address
    for row in port_holder.listening_on(port):
        if row.inode not in known and _takes_from(row, listener, host):
            where = f"[{row.host}]:{row.port}" if ":" in row.host else f"{row.host}:{row.port}"
            in_group = row.family == listener.family and row.host == host
            yield Stranger(where, in_group, tuple(port_holder.holders({row.inode})))


def _takes_from(row: ListeningSocket, listener: Listener, host: str) -> bool:
    """Whether connections meant for the listener can end there: the kernel prefers the more specific address."""
    if row.family != listener.family:
        return row.family == socket.AF_INET and listener.is_dual_stack
    return row.host == host or host in port_holder.EVERYWHERE


def _forget_shutdown(sock: socket.socket) -> None:
    """Undo a second ``shutdown()``, which else every accepted connection would inherit: it could not read or write.

    Connecting to ``AF_UNSPEC`` does it, which Python's own `socket.connect` cannot express.
    """
    nowhere = struct.pack("=H14x", socket.AF_UNSPEC)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).connect(sock.fileno(), nowhere, len(nowhere))
