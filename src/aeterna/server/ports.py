"""Who has a port that cannot be had: what Linux tells in /proc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LISTEN = "0A"


def joined(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def who_holds(port: int) -> str:
    """The process that listens on a TCP port of this machine, in words for a message."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / table, port)}
    if not inodes:
        return "the address is in use, or not one of this machine"
    for pid, name in _processes(inodes):
        return f"process {pid} ({name}) listens there"
    return "a process of another user listens there"


def _listening(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    fields = (line.split() for line in lines)
    return [each[9] for each in fields if each[3] == _LISTEN and int(each[1].rpartition(":")[2], 16) == port]


def _processes(inodes: set[str]) -> list[tuple[int, str]]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # A process may end meanwhile, or not be ours to look at.
            with contextlib.suppress(OSError):
                if any(os.readlink(fd) in wanted for fd in (entry / "fd").iterdir()):  # noqa: PTH115 - no path comes out
                    found.append((int(entry.name), (entry / "comm").read_text().strip()))
    return found
