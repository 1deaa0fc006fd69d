"""How a keeper begins: in the background, with a lock, as process 1, with odd standard descriptors."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from aeterna.supervisor.host import process_tree
from tests.supervisor.keeper_den import PYTHON, Den, open_den, until

ORPHANS = """
import os, sys, time
for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.wait()
"""
INSIDE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def keeper_pid(den: Den) -> int:
    """The detached keeper's pid, from the file it has written."""
    return int((den.directory / "keeper.pid").read_text())


async def run_detached(den: Den, log: str = "") -> subprocess.Popen[bytes]:
    command = den.command(detach=True, pid_path=str(den.directory / "keeper.pid"), log_path=log)
    return den.start(command)


async def end_detached(den: Den, daemon) -> None:
    pid = keeper_pid(den)
    await daemon.keeping.finish(0)
    daemon.order("exit 0")
    await until(lambda: not process_tree.is_alive(pid), "the keeper has ended")
    assert not (den.directory / "keeper.pid").exists()


async def test_a_detached_keeper_tells_the_starter_when_the_daemon_is_up_and_moves_its_output_to_the_log() -> None:
    async with open_den() as den:
        log = den.directory / "log"
        process = await run_detached(den, str(log))
        daemon = await den.daemon()
        assert process.poll() is None, "the starter waits"
        pid = keeper_pid(den)
        assert os.getsid(pid) not in (pid, os.getsid(0)), "in a session that it does not lead"
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"  # noqa: PTH115
        standard = [os.dup(1), os.dup(2)]
        try:
            await daemon.keeping.announce(0)
            assert os.fstat(2).st_ino == log.stat().st_ino, "the daemon (here: this process) writes to the log, too"
        finally:
            for number, fd in enumerate(standard, 1):
                os.dup2(fd, number)
                os.close(fd)
        assert await den.exit_code() == 0
        await daemon.kill()
        daemon = await den.daemon()
        assert "the daemon was killed by signal 9" in log.read_text()
        assert den.stderr() == ""
        await daemon.keeping.announce(0)
        await end_detached(den, daemon)


async def test_a_start_that_fails_gives_the_starter_the_code_and_the_reason() -> None:
    async with open_den() as den:
        await run_detached(den)
        daemon = await den.daemon()
        standard = [os.dup(1), os.dup(2)]
        try:
            await daemon.keeping.announce(11, "web: did not become ready")
        finally:
            for number, fd in enumerate(standard, 1):
                os.dup2(fd, number)
                os.close(fd)
        assert await den.exit_code() == 11
        assert den.stderr() == "aeterna keeper: web: did not become ready\n"
        await end_detached(den, daemon)


async def test_a_detached_keeper_that_ends_early_tells_its_code_and_one_that_is_killed_a_failure() -> None:
    async with open_den() as den:
        await run_detached(den)
        sock, _pid, fd = await den.greeting()
        os.close(fd)
        sock.send(b"exit 5")
        sock.close()
        assert await den.exit_code() == 5
    async with open_den() as den:
        await run_detached(den)
        sock, pid, fd = await den.greeting()
        os.kill(keeper_pid(den), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        os.close(fd)
        sock.close()
        assert await den.exit_code() == 1
        assert "died before it could tell" in den.stderr()


async def test_an_inherited_lock_is_held_for_life_and_reaches_neither_daemon_nor_children() -> None:
    async with open_den() as den:
        path = den.directory / "lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT)
        stray = os.open("/dev/zero", os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = den.start(den.command(keep_fds=[lock]), pass_fds=[lock, stray])
        os.close(lock)
        os.close(stray)
        daemon = await den.daemon()
        child = await daemon.spawn("a", "sleep", "1000")
        holders = {
            pid: {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
            for pid in (process.pid, child.pid, daemon.pid)
        }
        assert str(path) in holders[process.pid]
        assert str(path) not in holders[child.pid] | holders[daemon.pid]
        assert "/dev/zero" not in set().union(*holders.values())
        with path.open() as again, pytest.raises(BlockingIOError):
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await daemon.keeping.finish(0)
        daemon.order("exit 0")
        await den.exit_code()
        with path.open() as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child.close()


async def test_closed_standard_descriptors_are_no_trap() -> None:
    async with open_den() as den:
        process = den.start(prefix=["sh", "-c", 'exec "$@" 0<&- 1>&-', "sh"])
        daemon = await den.daemon()
        fds = {number: os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (0, 1)}  # noqa: PTH115
        assert fds == {0: "/dev/null", 1: "/dev/null"}
        (await daemon.spawn("a", "sh", "-c", "echo nobody hears this")).close()
        assert (await daemon.exit_of("a")).code == 0


async def test_children_get_the_soft_limit_of_open_files_that_the_keeper_was_given() -> None:
    async with open_den() as den:
        process = den.start(prefix=["sh", "-c", 'ulimit -Sn 200; ulimit -Hn 5000; exec "$@"', "sh"])
        daemon = await den.daemon()
        child = await daemon.spawn("a", "sleep", "1000")

        def soft(pid: int) -> str:
            lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
            return next(line.split()[3] for line in lines if line.startswith("Max open files"))

        assert [soft(pid) for pid in (process.pid, daemon.pid, child.pid)] == ["5000", "200", "200"]
        child.close()


async def test_as_process_1_it_reaps_forwards_signals_and_passes_the_code_on() -> None:
    async with open_den() as den:
        unshare = den.start(prefix=INSIDE)
        connected = await den.greeting()
        (init,) = process_tree.descendants(unshare.pid)[:1]
        daemon = await den.daemon(connected=connected)
        assert daemon.pid == 2, "the pid inside"
        child = await daemon.spawn("sleeper", "sleep", "1000")
        for number in range(3):
            (await daemon.spawn(f"orphans{number}", *PYTHON, ORPHANS, "100")).close()
            await daemon.exit_of(f"orphans{number}")
        await until(lambda: daemon.keeping.orphans_reaped == 300, "all orphans are reaped")
        states = {found.state for pid in process_tree.descendants(init) if (found := process_tree.stat(pid))}
        assert "Z" not in states
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM):
            os.kill(init, number)
            assert await daemon.word() == f"signal {number}"
        await daemon.keeping.finish(44)
        daemon.order("exit 0")
        assert await den.exit_code() == 44
        child.close()


async def test_process_1_survives_the_death_of_its_daemon() -> None:
    async with open_den() as den:
        unshare = den.start(prefix=INSIDE)
        first = await den.daemon()
        child = await first.spawn("sleeper", "sleep", "1000")
        (init,) = process_tree.descendants(unshare.pid)[:1]

        puppet = next(
            pid
            for pid in process_tree.descendants(init)
            if str(den.path).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(puppet, signal.SIGKILL)
        await first.leave()
        second = await den.daemon()
        assert [each.pid for each in second.inventory.children] == [child.pid]
        await second.keeping.finish(0)
        second.order("exit 0")
        assert await den.exit_code() == 0
        child.close()


async def test_wrong_options_are_named() -> None:
    async with open_den() as den:
        process = await asyncio.to_thread(
            subprocess.run, [*den.command()[:4], "--colour", "--", "true"], capture_output=True, text=True, check=False
        )
        assert process.returncode == 2
        assert "--colour" in process.stderr
