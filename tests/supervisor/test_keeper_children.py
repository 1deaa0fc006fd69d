"""Processes below a real keeper: how they start, what they inherit, and how their ends are told."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from pathlib import Path

import pytest

from aeterna.kernel.errors import InvariantError
from aeterna.supervisor.host import process_tree
from aeterna.supervisor.host.keeping import SpawnError
from tests.supervisor.keeper_den import PYTHON, hold_loop_until, open_den, turn, until

REPORT = """
import json, os
fds = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
print(json.dumps({
    "fds": {int(fd): os.readlink(f"/proc/self/fd/{fd}") for fd in fds},
    "pid": os.getpid(), "session": os.getsid(0), "env": dict(os.environ),
    "parent": os.getppid(),
}))
"""
# Python itself ignores SIGPIPE (13) and SIGXFSZ (25); a shell shows what it was given.
SHOW_SIGNALS = "grep -E 'Sig(Blk|Ign)' /proc/self/status; :"
SHOW_LIMITS = "pwd; umask; nice; ulimit -Sn; ulimit -Sc; id -u; id -g; id -G; grep Cpus_allowed_list /proc/self/status"
COUNT = """
import os, sys
print(sum(map(len, sys.argv[1:])), sum(map(len, os.environb.values())), os.environb[b"ODD"])
"""
SHOW_FDS = """
import os
print([os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 703)], len(os.listdir("/proc/self/fd")))
"""


def read_all(fd: int) -> str:
    with os.fdopen(fd) as file:
        return file.read()


def open_fds(pid: int) -> list[str]:
    return sorted(each.name for each in Path(f"/proc/{pid}/fd").iterdir())


async def output_of(daemon, key: str, *argv: str, fds=(), **options) -> str:
    """What a process writes to its standard output until it ends."""
    read_fd, write_fd = os.pipe()
    try:
        child = await daemon.spawn(key, *argv, fds=fds, stdout_fd=write_fd, **options)
    finally:
        os.close(write_fd)
    text = await asyncio.to_thread(read_all, read_fd)
    await daemon.exit_of(key)
    child.close()
    return text


async def test_a_child_gets_the_given_descriptors_in_order_and_nothing_else() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        pipes = [os.pipe() for _ in range(3)]
        names = [str(Path(f"/proc/self/fd/{write_fd}").readlink()) for _, write_fd in pipes]
        given = [write_fd for _, write_fd in pipes]
        report = json.loads(
            await output_of(daemon, "a", *PYTHON, REPORT, fds=[given[2], given[0], given[1]], listen_fds=3)
        )
        for pair in pipes:
            os.close(pair[0])
            os.close(pair[1])
        assert report["fds"].keys() == {"0", "1", "2", "3", "4", "5"}
        assert [report["fds"][str(fd)] for fd in (3, 4, 5)] == [names[2], names[0], names[1]]
        assert report["fds"]["0"] == "/dev/null"
        assert report["env"] == {"PATH": os.environ["PATH"], "LISTEN_PID": str(report["pid"])} | {
            name: value for name, value in report["env"].items() if name == "LC_CTYPE"
        }
        assert report["session"] == report["pid"]
        assert den.process is not None
        assert report["parent"] == den.process.pid


async def test_a_child_starts_with_default_dispositions_and_no_signal_blocked() -> None:
    async with open_den() as den:
        den.start(prefix=["nohup"])
        daemon = await den.daemon()
        text = await output_of(daemon, "a", "sh", "-c", SHOW_SIGNALS)
        masks = {line.split(":")[0]: int(line.split(":")[1], 16) for line in text.splitlines()}
        # Signals 32 and 33 belong to the C library's threads: nobody may set them, so whoever ignored them before us
        # (a CI runner may) is inherited from.
        private = 1 << 31 | 1 << 32
        assert {name: mask & ~private for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


async def test_limits_nice_affinity_umask_directory_and_user_are_as_requested() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        cpu = min(os.sched_getaffinity(0))
        text = await output_of(
            daemon,
            "a",
            *("sh", "-c", SHOW_LIMITS),
            cwd="/tmp",
            umask=0o027,
            nice=3,
            affinity=[cpu],
            rlimits={"nofile": 77, "core": 0},
            user="65534",
            group="65533",
        )
        cwd, umask, nice, nofile, core, *ids, allowed = text.splitlines()
        assert (cwd, umask, nofile, core) == ("/tmp", "0027", "77", "0")
        assert int(nice) == os.nice(0) + 3
        assert ids == ["65534", "65533", "65533"]
        assert allowed.split() == ["Cpus_allowed_list:", str(cpu)]


@pytest.mark.parametrize(
    ("options", "number", "step"),
    [
        ({"argv": ("/no/such/program",)}, errno.ENOENT, "exec"),
        ({"argv": ("no-such-program",)}, errno.ENOENT, "exec"),
        ({"argv": ("/etc/passwd",)}, errno.EACCES, "exec"),
        ({"argv": ()}, errno.EINVAL, "request"),
        ({"cwd": "/no/such/directory"}, errno.ENOENT, "cwd"),
        ({"user": "no-such-user"}, errno.EINVAL, "user"),
        ({"group": "no-such-group"}, errno.EINVAL, "user"),
        ({"rlimits": {"colour": 1}}, errno.EINVAL, "limits"),
        ({"affinity": [1000]}, errno.EINVAL, "affinity"),
        ({"cgroup_path": "/no/such/group"}, errno.ENOENT, "cgroup"),
    ],
)
async def test_what_cannot_be_started_says_which_step_failed_and_why(options, number: int, step: str) -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        argv = options.pop("argv", ("true",))
        with pytest.raises(SpawnError) as caught:
            await daemon.spawn("a", *argv, **options)
        assert (caught.value.errno, caught.value.step) == (number, step), str(caught.value)
        child = await daemon.spawn("a", "true")
        child.close()
        assert (await daemon.exit_of("a")).code == 0
        assert [each.key for each in daemon.exits] == ["a"], "the failed start is no exit"


async def test_exits_of_hundreds_of_quick_processes_are_exact() -> None:
    async with open_den() as den:
        process = den.start()
        daemon = await den.daemon()
        fds_before = open_fds(process.pid)

        async def one(number: int) -> None:
            if number % 4:
                child = await daemon.spawn(f"k{number}", "sh", "-c", f"exit {number % 256}")
            else:
                child = await daemon.spawn(f"k{number}", "sh", "-c", f"kill -{(number % 3) * 6 + 3} $$; sleep 100")
            child.close()

        for start in range(0, 320, 40):
            await asyncio.gather(*(one(number) for number in range(start, start + 40)))
        await until(lambda: len(daemon.exits) == 320, "all have ended", 30)
        for found in daemon.exits:
            number = int(found.key[1:])
            expected = (number % 256, None) if number % 4 else (None, (number % 3) * 6 + 3)
            assert (found.code, found.os_signal) == expected
            daemon.keeping.acknowledge(found.key)
        await daemon.keeping.put_record(b"")
        for number in range(20):
            with pytest.raises(SpawnError):
                await daemon.spawn(f"f{number}", "/no/such/program", fds=[0, 1, 2])
        assert open_fds(process.pid) == fds_before, "no descriptor stays behind"
        assert len(daemon.exits) == 320


async def test_an_exit_is_told_after_the_spawn_has_returned_however_quick_it_was() -> None:
    async with open_den() as den:
        process = den.start()
        daemon = await den.daemon()
        order: list[str] = []
        daemon.keeping.watch(lambda found: order.append(f"exit {found.key}"), daemon.is_gone.set)
        for number in range(20):
            spawning = asyncio.ensure_future(spawn_and_note(daemon, f"k{number}", order))
            await turn()
            hold_loop_until(lambda: not process_tree.descendants(process.pid)[1:], "it has ended")
            await spawning
            await until(lambda: len(order) % 2 == 0, "both are told")
        assert order == [f"{what} k{number}" for number in range(20) for what in ("spawn", "exit")]


async def spawn_and_note(daemon, key: str, order: list[str]) -> None:
    (await daemon.spawn(key, "true")).close()
    order.append(f"spawn {key}")


async def test_an_exit_tells_memory_and_processor_time() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        work = "import time; held = bytearray(b'x' * 50_000_000)\nwhile time.process_time() < 0.1: pass"
        (await daemon.spawn("a", *PYTHON, work)).close()
        found = await daemon.exit_of("a")
        assert found.rss_kb_max > 48_000
        assert found.cpu_ms >= 100
        assert (found.code, found.os_signal, found.core) == (0, None, False)


async def test_a_key_is_free_again_after_the_acknowledgement_only() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        (await daemon.spawn("a", "true")).close()
        await daemon.exit_of("a")
        with pytest.raises(SpawnError) as caught:
            await daemon.spawn("a", "true")
        assert caught.value.errno == errno.EEXIST
        daemon.keeping.acknowledge("a")
        (await daemon.spawn("a", "true")).close()
        await until(lambda: len(daemon.exits) == 2, "the second has ended")


async def test_a_megabyte_of_arguments_and_environment_arrives() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        env = {f"NAME{number}": "ü" * 40_000 for number in range(8)} | {"PATH": os.environ["PATH"], "ODD": "\udcff"}
        arguments = ["y" * 120_000 for _ in range(4)]
        text = await output_of(daemon, "a", *PYTHON, COUNT, *arguments, env=env)
        argument_bytes, env_bytes, odd = text.split()
        assert int(argument_bytes) == 480_000
        assert int(env_bytes) >= 640_000
        assert odd == "b'\\xff'"


async def test_more_descriptors_than_one_message_carries_arrive_in_order() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        memfds = [os.memfd_create(f"m{number}") for number in range(700)]
        text = await output_of(daemon, "a", *PYTHON, SHOW_FDS, fds=memfds)
        for fd in memfds:
            os.close(fd)
        assert text.strip() == f"{[f'/memfd:m{number} (deleted)' for number in range(700)]} 704"


async def test_a_pidfd_reaches_the_process_and_nothing_after_it() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        child = await daemon.spawn("a", "sleep", "1000")
        assert child.start_time_ticks > 0
        assert child.send_signal(signal.SIGTERM)
        assert (await daemon.exit_of("a")).os_signal == signal.SIGTERM
        assert not child.send_signal(signal.SIGTERM)
        child.close()
        child.close()
        assert not child.send_signal(signal.SIGTERM)


async def test_a_spawn_nobody_waits_for_any_more_leaves_no_process() -> None:
    async with open_den() as den:
        process = den.start()
        daemon = await den.daemon()
        for number in range(20):
            task = asyncio.ensure_future(daemon.spawn(f"k{number}", "sleep", "1000"))
            for _ in range(number):
                await turn()
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result().send_signal(signal.SIGKILL)
                task.result().close()
        await daemon.keeping.put_record(b"all spawns have been answered before this")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        await until(lambda: children.read_text().split() == [str(daemon.pid)], "no child is left")


@pytest.mark.uvloop
async def test_the_link_works_on_uvloop_too() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        await daemon.keeping.put_record(b"r" * 1_000_000)
        (await daemon.spawn("a", "sh", "-c", "exit 3")).close()
        assert (await daemon.exit_of("a")).code == 3
        await daemon.kill()
        assert (await den.daemon()).inventory.record == b"r" * 1_000_000


async def test_an_inventory_is_taken_once() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        with pytest.raises(InvariantError):
            daemon.keeping.inventory()
