"""The listening sockets this process was started with, and the addresses they belong to.

Reads the environment of systemd's socket activation (``LISTEN_FDS``, ``LISTEN_PID``, ``LISTEN_FDNAMES``), which is how
the supervisor hands its sockets over. Knows nothing of HTTP or of the loop that will accept. Holds: a descriptor meant
for another process is never taken, and nothing this process starts inherits one by accident.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

__all__ = ["FIRST_FD", "Address", "addresses", "inherited", "keep_from_children", "listener_of"]

FIRST_FD = 3
"""Where inherited descriptors start, by the convention of systemd."""

_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES")
_LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are read


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener can be reached from this machine: a host and port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """From ``HOST:PORT``, ``[HOST]:PORT`` or ``unix:PATH``; an address that stands for all becomes loopback.

        Raises `ValueError`.
        """
        if text.startswith("unix:"):
            return cls(path=text.removeprefix("unix:"))
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal():
            raise ValueError(f"{text!r} is no address: HOST:PORT or unix:PATH")
        host = host.removeprefix("[").removesuffix("]")
        return cls(host=_LOOPBACK.get(host, host), port=int(port))


def addresses(environ: Mapping[str, str] | None = None) -> dict[str, Address]:
    """The addresses of the service's sockets by name, from ``AETERNA_LISTEN``; empty without a supervisor."""
    text = (os.environ if environ is None else environ).get("AETERNA_LISTEN", "")
    return {name: Address.parse(value) for name, value in json.loads(text).items()} if text else {}


_kept: dict[int, dict[str, int]] = {}
"""What `keep_from_children` found, by the process that asked: a child must not take it for its own."""


def inherited(environ: Mapping[str, str] | None = None) -> dict[str, int]:
    """The listening descriptors meant for this process, by name, in their order; unnamed ones are called by number."""
    if environ is None and os.getpid() in _kept:
        return dict(_kept[os.getpid()])
    given = os.environ if environ is None else environ
    count = given.get("LISTEN_FDS", "")
    if not count.isdecimal() or not _is_meant_for_me(given):
        return {}
    names = given.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, int] = {}
    for index in range(int(count)):
        name = names[index] if index < len(names) and names[index] else str(index)
        # Two descriptors may carry one name; neither may hide the other.
        found[name if name not in found else f"{name}.{index}"] = FIRST_FD + index
    return found


def keep_from_children(environ: MutableMapping[str, str] | None = None) -> dict[str, int]:
    """As `inherited`, once: afterwards this process's children get neither the descriptors nor their announcement."""
    given = os.environ if environ is None else environ
    found = inherited(given)
    for fd in found.values():
        os.set_inheritable(fd, False)
    if found:
        for variable in _VARIABLES:
            given.pop(variable, None)
        if environ is None:
            _kept[os.getpid()] = found
    return dict(found)


def listener_of(fd: int) -> socket.socket:
    """The listener at a descriptor, which it takes over, as a socket of its real family that sends without delay."""
    # Without a family given, Python asks the kernel: a TCP listener mistaken for a Unix one costs 44 ms an answer.
    listener = socket.socket(fileno=fd)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _is_meant_for_me(environ: Mapping[str, str]) -> bool:
    pid = environ.get("LISTEN_PID", "")
    if pid == "auto":
        return True
    if not pid and "LISTEN_PIDFDID" in environ:
        return environ["LISTEN_PIDFDID"] == str(_pidfd_id())
    return pid == str(os.getpid())


def _pidfd_id() -> int:
    """What the kernel calls this process for as long as the machine is up; pids come back, it does not."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        return os.fstat(pidfd).st_ino
    finally:
        os.close(pidfd)
