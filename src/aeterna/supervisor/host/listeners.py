"""The listening sockets, bound once and held for the supervisor's whole life.

A TCP address gets two sockets in one ``SO_REUSEPORT`` group, *blue* and *green*; generations alternate between them.
Closing one would reset what waits in its queue, so neither is closed before the service goes. Unix sockets, and
systems on which the kernel cannot be told which socket to choose, get one, which both generations share.

This file knows addresses and sockets, neither weights nor generations. Invariants: blue joined its group before green
(`Listener.order` says when that has changed); nobody else listens there when `open_listener` returns; every descriptor
is close-on-exec.

Sockets are non-blocking, always: the flag belongs to the open socket that all generations share, so a server that
cannot live with it shall fail at its first start and not at its third reload. ``TCP_NODELAY`` is set here because
servers that are handed a descriptor often do not recognise it as TCP, and answer 40 ms late without it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum

from aeterna.config.spec import SocketSpec
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import ConfigurationError
from aeterna.supervisor.host import sock_diag, unix_path
from aeterna.supervisor.host.bind_error import FAMILIES, BindError, describe
from aeterna.supervisor.host.port_holder import EVERYWHERE
from aeterna.supervisor.host.tcp_binding import open_tcp

__all__ = [
    "BindError",
    "Colour",
    "Listener",
    "accept_queue_length",
    "adopt_listener",
    "fd_key",
    "listens",
    "open_listener",
    "open_listener_patiently",
]

PATIENCE_MS = 2_000
RETRY_MS = 100


class Colour(IntEnum):
    """Which of the two sockets of an address. Generations alternate."""

    BLUE = 0
    GREEN = 1

    @property
    def other(self) -> Colour:
        return Colour(1 - self)


class Listener:
    """An address somebody listens on for ever. ``colours``: blue and green, or one that is shared.

    ``order``: the colours as they stand in the kernel's group, which changes when one was shut down and listens again.
    """

    def __init__(self, spec: SocketSpec, colours: tuple[socket.socket, ...], *, path_inode: int | None = None) -> None:
        self.spec = spec
        self.colours = colours
        self.order: tuple[Colour | None, ...] = tuple(Colour(at) for at in range(len(colours)))
        self._path_inode = path_inode

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_steerable(self) -> bool:
        """Whether new connections can be sent to one colour; else there is only one."""
        return len(self.colours) == 2

    @property
    def family(self) -> int:
        return FAMILIES[self.spec.family]

    @property
    def address(self) -> tuple[str, int] | str:
        """Host and port as bound (the real port, if a free one was asked for), or the path."""
        if self.family == socket.AF_UNIX:
            return self.spec.path
        return self.tcp_address

    @property
    def tcp_address(self) -> tuple[str, int]:
        """Host and port as bound; for TCP only."""
        assert self.family != socket.AF_UNIX, "a Unix socket has a path"
        host, port, *_ = self.colours[0].getsockname()
        return str(host), int(port)

    @property
    def port(self) -> int | None:
        """The TCP port; None for a Unix socket."""
        return None if self.family == socket.AF_UNIX else self.tcp_address[1]

    @property
    def is_dual_stack(self) -> bool:
        """Whether IPv4 clients reach this IPv6 socket."""
        if self.family != socket.AF_INET6 or self.address[0] != "::":
            return False
        return not self.colours[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)

    def socket_of(self, colour: int) -> socket.socket:
        """The socket of that colour; the shared one if there is no other."""
        return self.colours[colour if self.is_steerable else 0]

    def reach(self) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
        """How to connect to this TCP listener from this machine, for each family it serves."""
        host, port = self.tcp_address
        if self.family == socket.AF_INET and host in EVERYWHERE:
            return [(socket.AF_INET, ("127.0.0.1", port))]
        if host == "::":
            found = [(socket.AF_INET, ("127.0.0.1", port))] if self.is_dual_stack else []
            return [*found, (socket.AF_INET6, ("::1", port))] if _has_ipv6_loopback() or not found else found
        return [(socket.AddressFamily(self.family), (host, port))]

    def fds(self) -> dict[str, int]:
        """The descriptors under the names by which the keeper holds them; they stay this object's."""
        return {fd_key(self.spec, Colour(at)): sock.fileno() for at, sock in enumerate(self.colours)}

    def owns_path(self) -> bool:
        """Whether the file at the Unix socket's path is still the one we made. For TCP: True."""
        return self.family != socket.AF_UNIX or unix_path.inode_at(self.spec.path) == self._path_inode

    def close(self, *, unlink: bool) -> None:
        """Close the sockets: what waits in their queues is reset. With ``unlink`` the Unix path goes too, if ours."""
        if unlink and self.family == socket.AF_UNIX and self._path_inode is not None and self.owns_path():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.spec.path)  # noqa: PTH108 - a path as given, not a Path
        for sock in self.colours:
            sock.close()


def fd_key(spec: SocketSpec, colour: Colour) -> str:
    """The name under which the keeper holds that socket."""
    return f"listener:{spec.name}:{colour.name.lower()}"


def open_listener(spec: SocketSpec, *, colour_count: int = 2) -> Listener:
    """Bind and listen. Raises `BindError`, which says what is wrong, who is in the way and what to do.

    A host name is resolved once, here. ``::`` serves IPv4 too where the system can do that. ``colour_count`` 1 asks
    for one shared socket, which is also what comes where connections cannot be steered.
    """
    if spec.family == "unix":
        sock, inode = unix_path.open_unix(spec)
        return Listener(spec, (sock,), path_inode=inode)
    return Listener(spec, open_tcp(spec, colour_count))


async def open_listener_patiently(spec: SocketSpec, clock: Clock, *, patience_ms: int = PATIENCE_MS) -> Listener:
    """As `open_listener`, trying again for ``patience_ms`` while nobody is seen to hold the address.

    A process that listens there will not go away because we wait, so that error comes at once.
    """
    deadline_us = clock.monotonic_us() + patience_ms * 1000
    while True:
        try:
            return open_listener(spec)
        except BindError as error:
            if not error.is_transient or clock.monotonic_us() >= deadline_us:
                raise
        await sleep(RETRY_MS / 1000)


def adopt_listener(spec: SocketSpec, fds: Mapping[str, int], order: Sequence[int | None] = ()) -> Listener:
    """The listener of an earlier daemon, from the descriptors that `Listener.fds` named; they become this object's.

    ``order`` is the earlier `Listener.order`; without it the first order is assumed, and `Steering.restore` has to
    find out. Raises `ConfigurationError` if the blue one is missing.
    """
    found = [fds[key] for key in (fd_key(spec, Colour.BLUE), fd_key(spec, Colour.GREEN)) if key in fds]
    if not found or fd_key(spec, Colour.BLUE) not in fds:
        raise ConfigurationError(f"the keeper holds no socket for {describe(spec)} (socket {spec.name!r})")
    sockets = tuple(socket.socket(fileno=fd) for fd in found)
    for sock in sockets:
        # Not `setblocking`: the flag is shared with whoever serves now, and may have been changed there.
        sock.set_inheritable(False)
    inode = None
    if spec.family == "unix":
        inode = sock_diag.bound_path_inode(sockets[0]) or unix_path.inode_at(spec.path)
    listener = Listener(spec, sockets, path_inode=inode)
    if order and listener.is_steerable:
        listener.order = tuple(None if each is None else Colour(each) for each in order)
    return listener


def accept_queue_length(sock: socket.socket) -> int | None:
    """How many connections wait to be accepted there; None if the system cannot tell (Unix sockets, a closed one)."""
    info = _tcp_info(sock)
    if len(info) < 28 or info[0] != sock_diag.TCP_LISTEN:
        return None
    return int(struct.unpack_from("=I", info, 24)[0])


def listens(sock: socket.socket) -> bool:
    """Whether the socket listens; False after somebody who shares it called ``shutdown()``."""
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    if sock.family != socket.AF_UNIX:
        return True
    poll = select.poll()  # a Unix socket that was shut down goes on calling itself a listener
    poll.register(sock, 0)
    return not any(events & select.POLLHUP for _, events in poll.poll(0))


def _has_ipv6_loopback() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


def _tcp_info(sock: socket.socket) -> bytes:
    if sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return b""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return b""
