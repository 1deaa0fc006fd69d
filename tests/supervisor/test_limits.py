"""Limits: what is detected, what the kernel is told, and what is sampled where it cannot be told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aeterna.config.spec import LimitsSpec
from aeterna.supervisor.host.limits import (
    Groups,
    InstanceGroup,
    LimitSupport,
    MemoryWatch,
    apply,
    detect,
    make_groups,
)
from tests.supervisor.keeper_den import open_den, until

MIB = 1024**2


@contextmanager
def holding(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has run this, said a line, and now waits."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", f"{script}\nprint(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate(b"\n")


def fake_proc(directory: Path, cgroup: str, mount: str, root: str = "/") -> Path:
    """What /proc/self says on another machine."""
    (directory / "cgroup").write_text(f"9:name=systemd:/\n0::{cgroup}\n")
    (directory / "mountinfo").write_text(
        f"24 1 0:21 / /proc rw - proc proc rw\n31 24 0:27 {root} {mount} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
    )
    return directory


def fake_group(path: Path, controllers: str) -> Path:
    """A directory that looks like a group: a test cannot have the memory controller everywhere."""
    path.mkdir(parents=True, exist_ok=True)
    for name in ("cgroup.procs", "cgroup.subtree_control", "memory.max", "cpu.max", "memory.events"):
        (path / name).write_text("")
    (path / "cgroup.controllers").write_text(controllers)
    return path


def test_a_delegated_group_with_both_controllers_leaves_nothing_to_tell(tmp_path: Path) -> None:
    base = fake_group(tmp_path / "mount" / "app.slice" / "web", "cpuset cpu io memory pids")
    support = detect(fake_proc(tmp_path, "/app.slice/web", str(tmp_path / "mount")))
    assert support == LimitSupport(base, frozenset({"memory", "cpu"}))
    assert support.describe() == []


def test_a_mount_of_a_part_of_the_hierarchy_is_followed(tmp_path: Path) -> None:
    base = fake_group(tmp_path / "mount" / "web", "memory")
    support = detect(fake_proc(tmp_path, "/docker/web", str(tmp_path / "mount"), root="/docker"))
    assert support.base == base
    assert [line.split(" limits")[0] for line in support.describe()] == ["cpu"]


@pytest.mark.parametrize("cgroup", ["/../outside", "/elsewhere/web"])
def test_a_group_outside_of_the_mount_cannot_be_used(tmp_path: Path, cgroup: str) -> None:
    support = detect(fake_proc(tmp_path, cgroup, str(tmp_path / "mount"), root="/docker"))
    assert support.base is None
    lines = support.describe()
    assert len(lines) == 3
    assert all(cgroup in line for line in lines)


def test_a_machine_without_the_version_2_hierarchy_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text("24 1 0:21 / /proc rw - proc proc rw\n")
    assert detect(tmp_path).reason == "no cgroup v2 hierarchy is mounted"


def test_bounds_are_written_as_the_kernel_reads_them(tmp_path: Path) -> None:
    group = InstanceGroup(fake_group(tmp_path / "g", ""))
    group.limit(memory_bytes=64 * MIB, cpus=1.5)
    assert (group.path / "memory.max").read_text() == str(64 * MIB)
    assert (group.path / "cpu.max").read_text() == "150000 100000"
    (group.path / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert group.oom_kills() == 2
    with pytest.raises(FileNotFoundError):
        InstanceGroup(tmp_path).limit(memory_bytes=1)


def test_limits_go_to_the_kernel_where_it_takes_them_and_to_watching_where_not(tmp_path: Path) -> None:
    limits = LimitsSpec(memory_bytes=MIB, cpus=0.5, nofile=100, nice=5)
    fake_group(tmp_path / "web-1", "")
    applied = apply(limits, Groups(tmp_path, frozenset({"memory", "cpu"})), "web-1")
    assert applied.cgroup_path == str(tmp_path / "web-1")
    assert (applied.watch, applied.affinity, applied.rlimits, applied.nice) == (None, (), {"nofile": 100}, 5)
    assert (tmp_path / "web-1" / "memory.max").read_text() == str(MIB)

    without = apply(limits, None, "web-1")
    assert without.cgroup_path == ""
    assert without.watch is not None
    assert without.watch.limit_bytes == MIB
    processors = sorted(os.sched_getaffinity(0))
    assert without.affinity == (tuple(processors[:1]) if len(processors) > 1 else ())
    assert apply(LimitsSpec(cpus=0.5, affinity=(1,)), None, "x").affinity == (1,)
    assert apply(LimitsSpec(), None, "x").watch is None


def test_sampling_sees_what_processes_have_written_to_and_no_mapped_files() -> None:
    with holding("pass") as empty, holding("held = bytearray(b'x' * 2**26)") as full:
        watch = MemoryWatch(80 * MIB)
        difference = watch.sample([full.pid]) - watch.sample([empty.pid])
        assert 63 * MIB < difference < 66 * MIB
        assert 63 * MIB < watch.exact([full.pid]) - watch.exact([empty.pid]) < 66 * MIB
        assert watch.sample([empty.pid]) < 16 * MIB
        assert not watch.is_over([full.pid])
        assert MemoryWatch(50 * MIB).is_over([empty.pid, full.pid])
        assert watch.sample([2**22 + 1]) == watch.exact([2**22 + 1]) == 0


def test_memory_shared_by_forked_processes_is_counted_once_before_the_verdict() -> None:
    fork = (
        "import os\nheld = bytearray(b'x' * 2**26)\npids = [os.fork() for _ in range(3)]\nif 0 in pids: os.read(0, 1)"
    )
    with holding(
        "import os; held = bytearray(b'x' * 2**26); r, w = os.pipe()\n"
        "pids = [p for p in (os.fork() for _ in range(1))]\n"
        "if pids == [0]:\n    os.close(w); os.read(r, 1); os._exit(0)"
    ) as process:
        assert fork
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        pids = [process.pid, *map(int, children)]
        watch = MemoryWatch(100 * MIB)
        assert watch.sample(pids) > 120 * MIB
        assert watch.exact(pids) < 90 * MIB
        assert not watch.is_over(pids)


async def test_a_group_here_finds_and_kills_what_hides_or_the_reason_is_told() -> None:
    support = detect()
    groups = make_groups(support, f"test-{os.getpid()}", [])
    assert (groups is None) == (support.base is None)
    if groups is None:
        assert support.reason in support.describe()[0]
        return
    try:
        await _kill_what_hides(groups)
    finally:
        groups.close()
    assert not groups.root.exists()


async def _kill_what_hides(groups: Groups) -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        applied = apply(LimitsSpec(), groups, "web-1")
        group = applied.group
        assert group is not None
        hide = "setsid sh -c 'sleep 1000 & setsid sleep 1000 & exec sleep 1000' & exec sleep 1000"
        child = await daemon.spawn("a", "sh", "-c", hide, cgroup_path=applied.cgroup_path)
        await until(lambda: len(group.pids()) == 4, "all have started")
        assert not group.remove()
        group.kill()
        assert (await daemon.exit_of("a")).os_signal == 9
        await until(group.remove, "all are reaped")
        assert group.remove()
        child.close()


def test_the_supervisor_moves_out_of_the_way_of_controllers() -> None:
    support = detect()
    usable = [] if support.base is None else (support.base / "cgroup.controllers").read_text().split()
    if support.base is None or not usable:
        assert support.describe()
        return
    # Any controller shows it; this machine may not offer the two that count.
    controllers = frozenset(usable[:1])
    base = support.base / f"aeterna-test-move-{os.getpid()}"
    (support.base / "cgroup.subtree_control").write_text(f"+{usable[0]}")
    base.mkdir()
    group = None
    try:
        with holding("pass") as process:
            (base / "cgroup.procs").write_text(str(process.pid))
            refused = make_groups(LimitSupport(base, controllers), "x", [1])
            assert refused is None or not refused.controllers, "there are processes that are not ours"
            group = make_groups(LimitSupport(base, controllers), "x", [process.pid])
            assert group is not None
            assert group.controllers == controllers
            assert (base / "aeterna-x" / "supervisor" / "cgroup.procs").read_text().split() == [str(process.pid)]
    finally:
        if group is not None:
            group.close()
        base.rmdir()
