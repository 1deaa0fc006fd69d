"""Binding a TCP address: both colours in one ``SO_REUSEPORT`` group, or one socket where that is of no use.

It knows addresses and sockets. Invariants: blue listens before green, and until weights are set everything goes to
blue; nobody else listens there when `open_tcp` returns.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from aeterna.config.spec import SocketSpec
from aeterna.supervisor.host import port_holder, sock_diag
from aeterna.supervisor.host.bind_error import ANY_HOST, FAMILIES, Address, BindError, explain
from aeterna.supervisor.host.bpf import Split, steering_program
from aeterna.supervisor.host.probe_ports import PROBE_SOURCES
from aeterna.supervisor.host.steering_trial import attach, steering_works


def open_tcp(spec: SocketSpec, colour_count: int) -> tuple[socket.socket, ...]:
    """Two listening sockets, or one if that is asked for or the kernel cannot steer. Raises `BindError`."""
    with contextlib.ExitStack() as on_failure:
        sockets = _open(spec, colour_count, on_failure)
        on_failure.pop_all()
        return sockets


def _open(spec: SocketSpec, colour_count: int, on_failure: contextlib.ExitStack) -> tuple[socket.socket, ...]:
    family = FAMILIES[spec.family]
    address = _resolve(spec, family)
    # Without an IPv6 loopback address the trial fails there; what the kernel can do does not depend on the family.
    if colour_count == 1 or not (steering_works(family) or steering_works(socket.AF_INET)):
        only = on_failure.enter_context(_bound(spec, family, address, is_shared=False))
        _listen(spec, only)
        return (only,)
    # A socket without SO_REUSEPORT is refused where anybody listens, even a group we would be allowed to join. It also
    # finds a free port: both colours are then bound to it by number, which makes them keep it after a shutdown().
    with _bound(spec, family, address, is_shared=False) as guard:
        address = guard.getsockname() if address[1] == 0 else address
        sockets = tuple(on_failure.enter_context(_bound(spec, family, address, is_shared=True)) for _ in range(2))
        for number, sock in enumerate(sockets):
            if number == 1:  # from its first moment on, green gets what it is given and nothing by chance
                attach(sockets[0], steering_program(PROBE_SOURCES.match, Split(0, 1, 0, 0)))
            sock_diag.mark(sock, number)
            _listen(spec, sock)
    _refuse_strangers(spec, family, sockets)
    return sockets


def _resolve(spec: SocketSpec, family: int) -> Address:
    host = spec.host.strip("[]") or ANY_HOST[socket.AddressFamily(family)]
    try:
        found = socket.getaddrinfo(host, spec.port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        version = "IPv6" if family == socket.AF_INET6 else "IPv4"
        raise BindError(
            spec, f"{host!r} is no {version} address and has none ({error.strerror})", "correct the host"
        ) from error
    return found[0][4]


def _bound(spec: SocketSpec, family: int, address: Address, *, is_shared: bool) -> socket.socket:
    with contextlib.ExitStack() as on_failure:
        try:
            sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
            sock.bind(address)
        except OSError as error:
            raise explain(spec, family, address, error) from error
        sock.setblocking(False)
        on_failure.pop_all()
        return sock


def _listen(spec: SocketSpec, sock: socket.socket) -> None:
    if spec.nodelay:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.listen(spec.backlog)
    except OSError as error:
        raise explain(spec, sock.family, sock.getsockname(), error) from error


def _refuse_strangers(spec: SocketSpec, family: int, sockets: tuple[socket.socket, ...]) -> None:
    """Somebody may have joined between the check and our own bind; it would take a share of our connections."""
    host, port, *_ = sockets[0].getsockname()
    ours = {sock_diag.socket_inode(sock) for sock in sockets}
    for row in port_holder.listening_on(port):
        if row.inode not in ours and row.family == family and row.host == host:
            raise explain(spec, family, (host, port), OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)))
