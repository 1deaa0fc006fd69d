"""Questions to the kernel about sockets, by netlink ``sock_diag`` (``sock_diag(7)``); no privileges needed.

It answers about single sockets, by their addresses or inode, and knows neither listeners nor steering. Everything
returns None where the kernel has no such interface (another system, an old kernel, a sandbox): never an error.

A connection inherits the flags of the listening socket it arrived at. Two of them mean nothing to TCP, so a listener
can be *marked* with them and every connection then tells, from outside and without its owner's help, which listener
took it. That is how steering is verified while applications serve.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
ATTRIBUTE_SOCKOPT = 22  # INET_DIAG_SOCKOPT, Linux 5.10
ATTRIBUTE_VFS = 1  # UNIX_DIAG_VFS
SHOW_VFS = 2
HEADER = struct.Struct("=IHHII")
INET_ANSWER_BYTES, UNIX_ANSWER_BYTES = 72, 16
NO_COOKIE = 0xFFFFFFFF

TCP_ESTABLISHED, TCP_SYN_RECEIVED, TCP_CLOSE, TCP_LISTEN = 1, 3, 7, 10
TCP_ALIVE_STATES = (1 << TCP_ESTABLISHED) | (1 << 4) | (1 << 5) | (1 << 8)
"""Established, FIN_WAIT1, FIN_WAIT2 and CLOSE_WAIT: connections somebody may still be working on."""

IP_MULTICAST_ALL = 49  # not in the socket module
MARK_LOOP, MARK_ALL = 0x10, 0x40
UNMARKED = None

Address = tuple[str, int]


def mark(sock: socket.socket, number: int) -> None:
    """Mark a TCP listener with 0 or 1 before it listens; on systems without the options nothing happens.

    The flags are ``IP_MULTICAST_LOOP`` off (nobody else does that to a TCP socket) and ``IP_MULTICAST_ALL`` on or off.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0 if number else 1)


def mark_of(flags: int) -> int | None:
    """The number those flags were marked with; None: not by us."""
    if flags & MARK_LOOP:
        return None
    return 0 if flags & MARK_ALL else 1


def connection_flags(family: int, server: Address, client: Address) -> tuple[int, int | None] | None:
    """TCP state and flags of the server's end of a connection, accepted or not; None if there is none to be found.

    The flags are None while the kernel has only half a connection (its accept queue is full, say).
    """
    identity = (
        struct.pack("!HH", server[1], client[1])
        + socket.inet_pton(family, server[0]).ljust(16, b"\0")
        + socket.inet_pton(family, client[0]).ljust(16, b"\0")
        + struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    )
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, NO_COOKIE) + identity
    for answer in _ask(request, NLM_F_REQUEST):
        state = answer[1]
        return None if state == TCP_LISTEN else (state, _sockopt_flags(answer))
    return None


def count_connections(family: int, port: int) -> dict[int | None, int] | None:
    """How many connections to this local port each mark has; None if the kernel cannot tell.

    Walks the kernel's connection table: milliseconds when it is large. IPv4 connections of an IPv6 listener are
    counted under ``AF_INET6``.
    """
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, TCP_ALIVE_STATES)
    request += struct.pack("!HH", port, 0) + bytes(32) + struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    counts: dict[int | None, int] = {}
    try:
        for answer in _answers(request, NLM_F_REQUEST | NLM_F_DUMP):
            flags = _sockopt_flags(answer)
            key = None if flags is None else mark_of(flags)
            counts[key] = counts.get(key, 0) + 1
    except OSError:
        return None
    return counts


def bound_path_inode(sock: socket.socket) -> int | None:
    """The inode of the file a Unix socket was bound to, wherever that file has been moved."""
    inode = socket_inode(sock)
    if inode is None:
        return None
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, NO_COOKIE, inode, SHOW_VFS, NO_COOKIE, NO_COOKIE)
    for answer in _ask(request, NLM_F_REQUEST):
        found = dict(_attributes(answer, UNIX_ANSWER_BYTES)).get(ATTRIBUTE_VFS)
        return None if found is None else int(struct.unpack_from("=I", found)[0])
    return None


def socket_inode(sock: socket.socket) -> int | None:
    """The number by which ``/proc`` names this socket."""
    import os

    try:
        return os.fstat(sock.fileno()).st_ino
    except OSError:
        return None


def _ask(request: bytes, flags: int) -> list[bytes]:
    try:
        return list(_answers(request, flags))
    except OSError:
        return []


def _answers(request: bytes, flags: int) -> Iterator[bytes]:
    """The payloads of the kernel's answers; an error answer (mostly "no such socket") is the end."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as link:
        link.settimeout(1.0)
        link.send(HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, flags, 1, 0) + request)
        while True:
            data = link.recv(1 << 16)
            at = 0
            while at + HEADER.size <= len(data):
                length, kind, *_ = HEADER.unpack_from(data, at)
                if kind in {NLMSG_ERROR, NLMSG_DONE}:
                    return
                yield data[at + HEADER.size : at + length]
                at += (length + 3) & ~3
            if not flags & NLM_F_DUMP & ~NLM_F_REQUEST:
                return


def _sockopt_flags(answer: bytes) -> int | None:
    found = dict(_attributes(answer, INET_ANSWER_BYTES)).get(ATTRIBUTE_SOCKOPT)
    return found[0] if found else None


def _attributes(answer: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if length < 4:
            return
        yield kind, answer[at + 4 : at + length]
        at += (length + 3) & ~3
