"""Who listens on a TCP port, and which process that is: from ``/proc``, as far as this user may look.

It knows ports, inodes and processes, nothing of services. Everything it cannot see is left out, never an error: on a
system without ``/proc`` the answer is empty. Answers are old as soon as they are given: tell people, decide nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

COMMAND_LENGTH_MAX = 200
LISTENING = "0A"
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A row of ``/proc/net/tcp``: where it listens, whose it is."""

    family: int
    host: str
    port: int
    inode: int
    uid: int

    @property
    def takes_everything(self) -> bool:
        return self.host in EVERYWHERE


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process that has a socket open. ``command``: its command line."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.command else f"pid {self.pid}"


def listening_on(port: int, *, until_other: bool = True) -> list[ListeningSocket]:
    """The TCP sockets that listen on ``port``, in both families.

    The kernel shows listening sockets first; ``until_other`` stops reading behind them, so that the answer costs the
    same with ten thousand connections open.
    """
    rows = (
        _row(family, fields)
        for family, name in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6"))
        for fields in _listening_rows(name, until_other=until_other)
    )
    return [row for row in rows if row.port == port]


def overlaps(row: ListeningSocket, family: int, host: str) -> bool:
    """Whether a listener there and one at ``host`` may be offered the same connection."""
    if row.family == family:
        return row.host == host or row.takes_everything or host in EVERYWHERE
    return (row.family == socket.AF_INET6 and row.host == "::") or (family == socket.AF_INET6 and host == "::")


def who_listens(port: int, family: int, host: str) -> list[PortHolder]:
    """The processes that keep ``host:port`` from being bound."""
    rows = listening_on(port, until_other=False)
    return holders({row.inode for row in rows if overlaps(row, family, host)})


def holders(inodes: Set[int]) -> list[PortHolder]:
    """The processes that have a socket with one of these inodes open."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return []
    return [PortHolder(pid, command_line(pid)) for pid in _pids() if wanted.intersection(_open_files(pid))]


def command_line(pid: int) -> str:
    """The command line of a process, as people would type it; empty if it cannot be read."""
    try:
        raw = Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return ""
    text = raw.rstrip(b"\0").replace(b"\0", b" ").decode(errors="backslashreplace")
    return text if len(text) <= COMMAND_LENGTH_MAX else text[: COMMAND_LENGTH_MAX - 1] + "…"


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - names are all we need
            if name.isdigit():
                yield int(name)


def _open_files(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                yield os.readlink(entry.path)  # noqa: PTH115 - thousands of them


def _listening_rows(name: str, *, until_other: bool) -> Iterator[list[str]]:
    """The fields of the rows of listening sockets in one of the kernel's tables."""
    with contextlib.suppress(OSError), Path("/proc/net", name).open(encoding="ascii") as table:
        next(table, "")
        for line in table:
            fields = line.split()
            if fields[3] == LISTENING:
                yield fields
            elif until_other:
                return


def _row(family: int, fields: list[str]) -> ListeningSocket:
    host, _, port = fields[1].partition(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = struct.pack(f"={len(words)}I", *words)  # the kernel prints words of its own byte order
    return ListeningSocket(family, str(ipaddress.ip_address(packed)), int(port, 16), int(fields[9]), int(fields[7]))
