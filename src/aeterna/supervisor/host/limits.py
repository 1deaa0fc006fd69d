"""What bounds an instance's memory and processor time here: control groups where they may be used, else sampling.

It knows the kernel's files, no services. It never claims more than the kernel enforces: `LimitSupport.describe` says,
for people, what is enforced, what is only watched, and why. Only the version 2 hierarchy is used: version 1 controllers
cannot be handed to a subtree safely.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aeterna.config.spec import LimitsSpec

_CPU_PERIOD_US = 100_000
_CONTROLLERS = ("memory", "cpu")


@dataclass(frozen=True, slots=True)
class LimitSupport:
    """What control groups offer to this process.

    ``base``: the version 2 group it is in, None if there is none that can be written to. ``controllers``: those that
    groups below could use. ``reason``: why there is no ``base``.
    """

    base: Path | None
    controllers: frozenset[str] = frozenset()
    reason: str = ""

    def describe(self) -> list[str]:
        """One line for each thing the kernel does not enforce here, with what is done instead; none if it does all."""
        lines: list[str] = []
        if self.base is None:
            lines.append(f"instances are killed process by process, not as a group: {self.reason}")
        why = self.reason or f"{self.base} offers no such controller"
        if "memory" not in self.controllers:
            lines.append(
                f"memory limits are not enforced by the kernel ({why}): "
                f"memory is sampled, and a service that is found above its limit is restarted"
            )
        if "cpu" not in self.controllers:
            lines.append(
                f"cpu limits are not enforced by the kernel ({why}): "
                f"a service is bound to as many processors as its limit, rounded up"
            )
        return lines


def detect(proc: Path = Path("/proc/self")) -> LimitSupport:
    """Look what is there. Changes nothing."""
    mounts = [line.split() for line in _read(proc / "mountinfo").splitlines()]
    found = [line for line in mounts if "-" in line and line[line.index("-") + 1] == "cgroup2"]
    if not found:
        return LimitSupport(None, reason="no cgroup v2 hierarchy is mounted")
    mount_root, mount_point = found[0][3], Path(found[0][4])
    own = next((line[3:] for line in _read(proc / "cgroup").splitlines() if line.startswith("0::")), "")
    inside = Path(own)
    if not own or ".." in inside.parts or not inside.is_relative_to(mount_root):
        return LimitSupport(None, reason=f"this process's group {own!r} is not below {mount_point}")
    base = mount_point / inside.relative_to(mount_root)
    if not os.access(base, os.W_OK) or not os.access(base / "cgroup.procs", os.W_OK):
        return LimitSupport(None, reason=f"{base} cannot be written to; in a systemd unit, set Delegate=yes")
    return LimitSupport(base, frozenset(_read(base / "cgroup.controllers").split()) & frozenset(_CONTROLLERS))


class InstanceGroup:
    """A control group for one instance. Without controllers it still finds and kills every process in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def limit(self, memory_bytes: int = 0, cpus: float = 0.0) -> None:
        """Set the bounds; 0: none. A group above its memory is killed as a whole. Raises OSError."""
        if memory_bytes:
            _write(self.path / "memory.max", str(memory_bytes))
            # Both are absent on some kernels, and the bound holds without them.
            for name, value in (("memory.oom.group", "1"), ("memory.swap.max", "0")):
                with contextlib.suppress(OSError):
                    _write(self.path / name, value)
        if cpus:
            _write(self.path / "cpu.max", f"{max(math.ceil(cpus * _CPU_PERIOD_US), 1000)} {_CPU_PERIOD_US}")

    def pids(self) -> list[int]:
        """All processes in the group, also those that left the instance's session."""
        return [int(pid) for pid in _read(self.path / "cgroup.procs").split()]

    def kill(self) -> None:
        """SIGKILL to every process in the group and below, at once where the kernel can (since 5.14)."""
        try:
            _write(self.path / "cgroup.kill", "1")
        except OSError:
            # In the group while it is looked at: the pid may be reused by the time of the signal, but only by a
            # process that was just born into the same group.
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def oom_kills(self) -> int:
        """How many processes the kernel has killed because the group was above its memory."""
        lines = (line.split() for line in _read(self.path / "memory.events").splitlines())
        return next((int(fields[1]) for fields in lines if fields[0] == "oom_kill"), 0)

    def remove(self) -> bool:
        """Remove the group; False while a process that has not been reaped is in it. One that is gone is no error."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Groups:
    """A place for the groups of one supervisor's instances. ``controllers``: those that work in them."""

    root: Path
    controllers: frozenset[str]

    def create(self, name: str) -> InstanceGroup:
        """A new group; one of that name which an earlier supervisor left behind is taken over. Raises OSError."""
        path = self.root / name
        path.mkdir(exist_ok=True)
        return InstanceGroup(path)

    def close(self) -> None:
        """Remove what is empty."""
        for path in [*self.root.glob("*/"), self.root]:
            with contextlib.suppress(OSError):
                path.rmdir()


def make_groups(support: LimitSupport, name: str, supervisor_pids: Iterable[int]) -> Groups | None:
    """Make a place for groups below ``support.base`` and switch controllers on for it; None if that is impossible.

    Where only the supervisor's own processes are in the base, they are moved into a group of their own, because the
    kernel gives controllers to a group's children only while it has no processes itself. A controller that cannot be
    switched on is left out.
    """
    if support.base is None:
        return None
    root = support.base / f"aeterna-{name}"
    try:
        root.mkdir(exist_ok=True)
        if not _switch_on(support.base, support.controllers):
            _move(support.base, root / "supervisor", set(supervisor_pids))
            _switch_on(support.base, support.controllers)
        _switch_on(root, support.controllers)
    except OSError:
        return None
    enabled = frozenset(_read(root / "cgroup.subtree_control").split())
    return Groups(root, enabled & support.controllers)


def _switch_on(group: Path, controllers: Iterable[str]) -> bool:
    """Offer the controllers to the groups below; False if one could not be."""
    is_complete = True
    for each in controllers:
        try:
            _write(group / "cgroup.subtree_control", f"+{each}")
        except OSError:
            is_complete = False
    return is_complete


def _move(source: Path, target: Path, pids: set[int]) -> None:
    """Move all processes of a group, provided that it has no others than these."""
    found = {int(pid) for pid in _read(source / "cgroup.procs").split()}
    if found and found <= pids:
        target.mkdir(exist_ok=True)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                _write(target / "cgroup.procs", str(pid))


class MemoryWatch:
    """Watches the memory of an instance's processes where the kernel does not bound it."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes

    def sample(self, pids: Sequence[int]) -> int:
        """The bytes of memory these processes have resident, files that they map left out.

        Cheap (10 microseconds a process) and too high for processes that were forked from one that had much memory:
        what they share is counted for each.
        """
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        total = 0
        for pid in pids:
            fields = _read(Path(f"/proc/{pid}/statm")).split()
            total += (int(fields[1]) - int(fields[2])) * page_bytes if fields else 0
        return total

    def exact(self, pids: Sequence[int]) -> int:
        """As `sample`, but what is shared is divided among those who share it. Takes milliseconds for large ones."""
        total = 0
        for pid in pids:
            found = dict(line.split(":", 1) for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()[1:])
            parts = [found[name] for name in ("Pss_Anon", "Pss_Shmem") if name in found]
            total += sum(int(part.split()[0]) * 1024 for part in parts) if parts else self.sample([pid])
        return total

    def is_over(self, pids: Sequence[int]) -> bool:
        """Whether they have more than the limit; looked at exactly before they are found guilty."""
        return self.sample(pids) > self.limit_bytes and self.exact(pids) > self.limit_bytes


@dataclass(frozen=True, slots=True)
class AppliedLimits:
    """What a spawn needs to carry out `LimitsSpec` here. ``watch``: to be asked while the instance runs, else None."""

    rlimits: dict[str, int] = field(default_factory=dict)
    nice: int = 0
    affinity: tuple[int, ...] = ()
    group: InstanceGroup | None = None
    watch: MemoryWatch | None = None

    @property
    def cgroup_path(self) -> str:
        """For the spawn request; empty: none."""
        return str(self.group.path) if self.group else ""


def apply(limits: LimitsSpec, groups: Groups | None, name: str) -> AppliedLimits:
    """Make a group for the instance if there can be one, and find what must be done without it.

    Every instance gets a group, also without limits: it is what finds and kills processes that hide. Raises OSError if
    a bound that the kernel offers cannot be set.
    """
    group: InstanceGroup | None = None
    if groups is not None:
        with contextlib.suppress(OSError):
            group = groups.create(name)
    controllers = groups.controllers if groups is not None and group is not None else frozenset()
    by_kernel = {
        "memory_bytes": limits.memory_bytes if "memory" in controllers else 0,
        "cpus": limits.cpus if "cpu" in controllers else 0.0,
    }
    if group is not None:
        group.limit(memory_bytes=int(by_kernel["memory_bytes"]), cpus=by_kernel["cpus"])
    affinity = limits.affinity
    if limits.cpus and not by_kernel["cpus"] and not affinity:
        affinity = _some_processors(limits.cpus)
    return AppliedLimits(
        rlimits={"nofile": limits.nofile} if limits.nofile else {},
        nice=limits.nice,
        affinity=affinity,
        group=group,
        watch=MemoryWatch(limits.memory_bytes) if limits.memory_bytes and not by_kernel["memory_bytes"] else None,
    )


def recover(limits: LimitsSpec, group_path: str) -> AppliedLimits:
    """What was applied to an instance that another daemon started; ``group_path`` is empty if it has no group."""
    group = InstanceGroup(Path(group_path)) if group_path else None
    is_bound = group is not None and _read(group.path / "memory.max").strip() not in ("", "max")
    watch = MemoryWatch(limits.memory_bytes) if limits.memory_bytes and not is_bound else None
    return AppliedLimits(group=group, watch=watch)


def _some_processors(cpus: float) -> tuple[int, ...]:
    """As many as the limit, rounded up; none if that is all there are."""
    allowed = sorted(os.sched_getaffinity(0))
    wanted = math.ceil(cpus)
    return tuple(allowed[:wanted]) if wanted < len(allowed) else ()


def _read(path: Path) -> str:
    """The file's text; empty if it is gone or may not be read."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    # Not `Path.write_text`: truncating is refused by some of these files, and creating them is always a mistake.
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
