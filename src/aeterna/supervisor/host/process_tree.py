"""Which processes belong to an instance, as the kernel shows them in /proc, and signals to all of them.

It knows no services and keeps no state. A process belongs if it descends from the instance's first process, or is in
its session, or carries the instance's token in its environment: a daemon that has forked twice has lost the first two.
Invariant: nobody is signalled by a bare pid; a pidfd is opened first, and then compared with what was seen.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN_VARIABLE = "AETERNA_INSTANCE"  # noqa: S105 - the variable's name, no secret
_KILL_ROUNDS_MAX = 20
_DEPTH_MAX = 1000

ProcessIdentity = tuple[int, int]
"""A pid and when its process started: never used twice, unlike the pid."""


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """A line of /proc/PID/stat. ``start_time_ticks`` (since boot) tells a process from a later one of the same pid."""

    pid: int
    state: str
    parent_pid: int
    session: int
    start_time_ticks: int

    @property
    def identity(self) -> ProcessIdentity:
        """What tells it from every other process since the machine started."""
        return self.pid, self.start_time_ticks

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended; what has ended and was not reaped is still listed."""
        return self.state not in "ZXx"


def stat(pid: int) -> ProcessStat | None:
    """What the kernel says of this process; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read for every process of the machine
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may contain anything, brackets and spaces, too.
    fields = text.rpartition(b")")[2].split()
    return ProcessStat(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def is_alive(pid: int) -> bool:
    """Whether there is such a process and it has not ended."""
    found = stat(pid)
    return found is not None and found.is_alive


def all_processes() -> dict[int, ProcessStat]:
    """Every process that can be seen, by pid. Takes about 20 microseconds for each."""
    found = (stat(int(entry.name)) for entry in os.scandir("/proc") if entry.name.isdecimal())
    return {each.pid: each for each in found if each is not None}


def descendants(root_pid: int, processes: dict[int, ProcessStat] | None = None) -> list[int]:
    """The pids of all processes below this one, parents before their children."""
    below: dict[int, list[int]] = {}
    for each in (all_processes() if processes is None else processes).values():
        below.setdefault(each.parent_pid, []).append(each.pid)
    found = [root_pid]
    for pid in found:
        # Taking each list once: what was read at different moments need not be a tree.
        found += below.pop(pid, [])
    return found[1:]


def is_descendant(pid: int, ancestor_pid: int) -> bool:
    """Whether the process is the other one or below it."""
    for _ in range(_DEPTH_MAX):
        if pid == ancestor_pid:
            return True
        found = stat(pid) if pid > 0 else None
        if found is None:
            return False
        pid = found.parent_pid
    return False


def carries_token(pid: int, token: str) -> bool:
    """Whether the process was started with this token in its environment; False if that may not be looked at."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - read for many processes
            environ = file.read()
    except OSError:
        return False
    return f"{TOKEN_VARIABLE}={token}".encode() in environ.split(b"\0")


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """The processes of one instance.

    ``root_pid``: its first process, which leads its session and may have ended; ``start_time_ticks``: when that one
    started, so that a later process of the same pid is not taken for it. ``keeper_pid``: above everything that can
    belong; the less there is below it, the fewer environments are read.
    """

    token: str
    root_pid: int
    start_time_ticks: int
    keeper_pid: int

    def contains(self, pid: int) -> bool:
        """Whether this one process belongs to the instance, living or not yet reaped."""
        found = stat(pid)
        if found is None:
            return False
        if self._is_root_ours(stat(self.root_pid)) and (
            found.session == self.root_pid or is_descendant(pid, self.root_pid)
        ):
            return True
        return carries_token(pid, self.token)

    def members(self) -> list[int]:
        """The pids of all living processes of the instance."""
        return [each.pid for each in self._members()]

    def kill(self, os_signal: int) -> int:
        """Send the OS signal to every living process of the instance; returns to how many.

        SIGKILL is repeated until nobody new is found, because a process may fork while it is being looked at.
        Processes that may not be signalled are left out.
        """
        signalled: set[ProcessIdentity] = set()
        for _ in range(_KILL_ROUNDS_MAX if os_signal == signal.SIGKILL else 1):
            fresh = [each for each in self._members() if each.identity not in signalled]
            if not fresh:
                break
            signalled.update(each.identity for each in fresh if _signal_one(each, os_signal))
        return len(signalled)

    def _is_root_ours(self, root: ProcessStat | None) -> bool:
        """Also if there is none: while a session has members its number is given to no other process."""
        return root is None or root.start_time_ticks == self.start_time_ticks

    def _members(self) -> Iterator[ProcessStat]:
        processes = all_processes()
        is_root_ours = self._is_root_ours(processes.get(self.root_pid))
        found: set[int] = set()
        for each in (processes[pid] for pid in descendants(self.keeper_pid, processes)):
            is_kin = is_root_ours and self.root_pid in (each.pid, each.session)
            if is_kin or each.parent_pid in found or (each.is_alive and carries_token(each.pid, self.token)):
                found.add(each.pid)
        yield from (processes[pid] for pid in sorted(found) if processes[pid].is_alive)


def _signal_one(seen: ProcessStat, os_signal: int) -> bool:
    """Signal exactly the process that was seen; False if it is gone or out of reach."""
    with contextlib.suppress(ProcessLookupError, PermissionError), _pidfd(seen.pid) as pidfd:
        now = stat(seen.pid)
        if now is not None and now.identity == seen.identity:
            signal.pidfd_send_signal(pidfd, os_signal)
            return True
    return False


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)
