"""Connecting to a service as a probe does: from a source that steering knows, and without leaving traces.

May not know what is said over the connection. The invariants: a source that cannot be had is our own trouble
(`Sample.UNKNOWN`) and never the service's failure; closing a connection resets it, so that no ``TIME_WAIT`` keeps a
reserved source port busy.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from aeterna.kernel.clock import sleep
from aeterna.supervisor.core.health import Sample
from aeterna.supervisor.host.resolving import resolve

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""

Source = Callable[[], tuple[str, int]]
"""Yields the local address for the next connection to a service of this machine; raises `OSError` if none is free."""

SOURCE_ATTEMPTS_MAX = 64
"""How many sources are tried before the probe gives up; steering hands them out in turn."""

_LOOPBACKS = ("127.0.0.1", "::1")
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}  # noqa: S104 - replaced, not bound
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_UNIX_RETRY_S = 0.01
_TAKEN = {errno.EADDRINUSE, errno.EADDRNOTAVAIL}
_REFUSALS = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN}
_REFUSALS |= {errno.ENOENT, errno.ETIMEDOUT, errno.EHOSTUNREACH}
"""What only the other side can cause; everything else that goes wrong is ours."""


class UnansweredError(Exception):
    """A probe that ended without an answer, and whose fault that is."""

    def __init__(self, sample: Sample, detail: str) -> None:
        super().__init__(detail)
        self.sample = sample
        self.detail = detail


class Progress(Protocol):
    """What is being done, for the words about a timeout, and whose fault a timeout is at this stage."""

    stage: str
    timeout_means: Sample


def read_address(text: str) -> Address:
    """``HOST:PORT``, ``[HOST]:PORT``, ``:PORT`` or ``unix:PATH``; raises `ValueError` for anything else."""
    if text.startswith("unix:"):
        return text.removeprefix("unix:")
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is no address; expected HOST:PORT or unix:PATH")
    return host.removeprefix("[").removesuffix("]"), int(port)


def show_address(address: Address) -> str:
    """The address as it is written in a configuration."""
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def blame(error: OSError) -> Sample:
    """Whether an error of a socket says something about the other side."""
    return Sample.FAILED if error.errno in _REFUSALS else Sample.UNKNOWN


def explain(error: OSError) -> str:
    """The system's words for an error, without its number."""
    return os.strerror(error.errno) if error.errno else str(error)


async def dial(address: Address, source: Source | None, progress: Progress) -> socket.socket:
    """A connected, non-blocking socket; raises `UnansweredError`. Waits without end, for the caller bounds it.

    Connections within this machine come from ``source``; those to elsewhere, and Unix sockets, need none.
    """
    progress.stage = f"connecting to {show_address(address)}"
    if isinstance(address, str):
        return await _dial_unix(address)
    host, port = address
    progress.timeout_means = Sample.UNKNOWN  # a silent name server is no fault of the service
    candidates = await _candidates(host)
    progress.timeout_means = Sample.FAILED
    failures: list[UnansweredError] = []
    for candidate in candidates:
        try:
            return await _dial_tcp(candidate, port, source)
        except UnansweredError as failure:
            failures.append(failure)
    # One side that says no is an answer, even if the other could not be asked.
    raise next((failure for failure in failures if failure.sample is Sample.FAILED), failures[0])


async def _candidates(host: str) -> tuple[str, ...]:
    """The numeric addresses of a host, in the order in which they are tried; never empty."""
    host = _WILDCARDS.get(host, host)
    if host.lower() == "localhost":
        return _LOOPBACKS
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    try:
        return await resolve(host)
    except OSError as error:
        raise UnansweredError(Sample.UNKNOWN, f"the name {host!r} cannot be resolved: {error}") from error


async def _dial_tcp(host: str, port: int, source: Source | None) -> socket.socket:
    if source is None or not _is_this_machine(host):
        return await _connect(host, port, None)
    for _ in range(SOURCE_ATTEMPTS_MAX):
        try:
            local = source()
        except OSError as error:
            raise UnansweredError(Sample.UNKNOWN, f"no source port is free: {explain(error)}") from error
        if (":" in local[0]) != (":" in host):
            raise UnansweredError(Sample.UNKNOWN, f"{host} cannot be asked from the probe's source {local[0]}")
        try:
            return await _connect(host, port, local)
        except _SourceTakenError:
            continue  # the next one
    raise UnansweredError(Sample.UNKNOWN, f"no source port is free ({SOURCE_ATTEMPTS_MAX} tried)")


def _is_this_machine(host: str) -> bool:
    """Whether the address is one of this machine's own: only those can be bound."""
    if ipaddress.ip_address(host).is_loopback:
        return True
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True


class _SourceTakenError(Exception):
    pass


async def _connect(host: str, port: int, local: tuple[str, int] | None) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise UnansweredError(Sample.UNKNOWN, f"no socket can be opened: {explain(error)}") from error
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if local is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(local)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except OSError as error:
        sock.close()
        if local is not None and error.errno in _TAKEN:
            raise _SourceTakenError from error
        raise UnansweredError(blame(error), f"{show_address((host, port))}: {explain(error)}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _dial_unix(path: str) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise UnansweredError(Sample.UNKNOWN, f"no socket can be opened: {explain(error)}") from error
    try:
        sock.setblocking(False)
        await _connect_unix(sock, path)
    except OSError as error:
        sock.close()
        raise UnansweredError(blame(error), f"{show_address(path)}: {explain(error)}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_unix(sock: socket.socket, path: str) -> None:
    """Connect, waiting while the listener's queue is full: the kernel offers no event for its having room again."""
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:
            await sleep(_UNIX_RETRY_S)
        else:
            return
