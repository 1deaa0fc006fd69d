"""The descriptors that a service has deposited (``FDSTORE=1`` of sd_notify(3)) for its next process.

They outlive the service's processes and, with the keeper's copies, the daemon. Invariants: there are never more than
`STORED_MAX`; a descriptor that comes here is stored or closed; one whose other end has closed is dropped, unless the
service asked for that not to happen (``FDPOLL=0``).
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aeterna.supervisor.host.keeping import Keeping
from aeterna.supervisor.host.notify import Notice

STORED_MAX = 128
"""Per service."""


@dataclass(frozen=True, slots=True)
class _Stored:
    name: str
    fd: int
    identity: tuple[int, int]


class FdStore:
    """What one service has deposited, in the order in which it came."""

    def __init__(self, service: str, keeping: Keeping, complain: Callable[[str], None]) -> None:
        self._prefix = f"fdstore:{service}:"
        self._keeping = keeping
        self._complain = complain
        self._stored: dict[int, _Stored] = {}
        self._last_number = 0
        self._hang_ups: select.epoll | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """One for each descriptor, for ``LISTEN_FDNAMES``."""
        return tuple(each.name for each in self._stored.values())

    @property
    def fds(self) -> tuple[int, ...]:
        """They stay the store's."""
        return tuple(each.fd for each in self._stored.values())

    def take(self, notice: Notice) -> None:
        """Remove what the notice says, and store what it carries, whose descriptors belong to this object."""
        if notice.removes_fds:
            for number in [number for number, each in self._stored.items() if each.name == notice.fd_name]:
                self._drop(number)
        for fd in notice.fds:
            identity = _identity(fd)
            if any(each.identity == identity for each in self._stored.values()):
                os.close(fd)
            elif len(self._stored) >= STORED_MAX:
                os.close(fd)
                self._complain(f"a descriptor {notice.fd_name!r} was not stored: there are {STORED_MAX} already")
            else:
                self._add(self._last_number + 1, notice.fd_name, fd, polls=notice.polls_fds)

    def adopt(self, fds: dict[str, int]) -> None:
        """Take over what an earlier daemon had stored out of all that the keeper handed over."""
        found = [key for key in fds if key.startswith(self._prefix)]
        for key in sorted(found, key=lambda key: int(key.rpartition(":")[2])):
            name, _, number = key.removeprefix(self._prefix).rpartition(":")
            # Whether the service wanted to be told of hang-ups is not known any more; it gets what it would find out.
            self._add(int(number), name, fds.pop(key), polls=False)

    def close(self) -> None:
        """Let go of everything here; the keeper has its copies."""
        for each in self._stored.values():
            os.close(each.fd)
        self._stored.clear()
        if self._hang_ups is not None:
            asyncio.get_running_loop().remove_reader(self._hang_ups.fileno())
            self._hang_ups.close()
            self._hang_ups = None

    def _add(self, number: int, name: str, fd: int, *, polls: bool) -> None:
        self._last_number = number
        self._stored[number] = _Stored(name, fd, _identity(fd))
        self._keeping.keep(f"{self._prefix}{name}:{number}", fd)
        if polls:
            self._poll(fd)

    def _drop(self, number: int) -> None:
        each = self._stored.pop(number)
        if self._hang_ups is not None:
            with suppress(OSError):
                self._hang_ups.unregister(each.fd)
        os.close(each.fd)
        self._keeping.drop(f"{self._prefix}{each.name}:{number}")

    def _poll(self, fd: int) -> None:
        if self._hang_ups is None:
            self._hang_ups = select.epoll()
            asyncio.get_running_loop().add_reader(self._hang_ups.fileno(), self._hung_up)
        with suppress(PermissionError):  # files cannot be polled, and never hang up
            self._hang_ups.register(fd, 0)

    def _hung_up(self) -> None:
        assert self._hang_ups is not None
        closed = {fd for fd, _ in self._hang_ups.poll(0)}
        for number in [number for number, each in self._stored.items() if each.fd in closed]:
            self._drop(number)


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
