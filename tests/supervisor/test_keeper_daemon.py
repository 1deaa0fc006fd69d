"""The daemon dies, the keeper and what it holds do not: inventories, restarts, OS signals, and the end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from aeterna.supervisor.host import process_tree
from aeterna.supervisor.host.keeping import KEEPER_MAIN, KeeperGoneError, keeper_command
from tests.supervisor.keeper_den import PYTHON, Den, open_den, pause, until

TRAPPING = ("sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done")
STUBBORN = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done")
DOUBLE_FORK = """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            print("up", flush=True)
            time.sleep(1000)
        os._exit(0)
"""


def below(den: Den) -> list[int]:
    assert den.process is not None
    return process_tree.descendants(den.process.pid)


async def spawn_and_hear(daemon, key: str, *argv: str, lines: int = 1):
    """Start a process that says it is up; returns when it has."""
    read_fd, write_fd = os.pipe()
    child = await daemon.spawn(key, *argv, stdout_fd=write_fd)
    os.close(write_fd)
    os.set_blocking(read_fd, False)
    heard = b""
    while heard.count(b"\n") < lines:
        try:
            heard += os.read(read_fd, 100)
        except BlockingIOError:
            await pause()
    os.close(read_fd)
    return child


async def test_a_new_daemon_gets_record_descriptors_and_processes_of_the_killed_one() -> None:
    async with open_den() as den:
        den.start()
        first = await den.daemon()
        assert (first.inventory.record, first.inventory.fds, first.inventory.children) == (None, {}, ())
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        read_fd, write_fd = os.pipe()
        first.keeping.keep("listener:http:blue", listener.fileno())
        first.keeping.keep("log:web", read_fd)
        first.keeping.keep("dropped", read_fd)
        first.keeping.drop("dropped")
        lasting = await first.spawn("lasting", "sleep", "1000", stdout_fd=write_fd)
        (await first.spawn("told", "sh", "-c", "exit 4")).close()
        await first.exit_of("told")
        (await first.spawn("acknowledged", "sh", "-c", "exit 5")).close()
        await first.exit_of("acknowledged")
        first.keeping.acknowledge("acknowledged")
        dying = await first.spawn("dying", *TRAPPING, stdout_fd=write_fd)
        os.close(write_fd)
        assert await asyncio.to_thread(os.read, read_fd, 10) == b"up\n"
        await first.keeping.put_record(b"\x00version 1")
        listener.close()
        os.close(read_fd)
        await first.kill()
        dying.send_signal(signal.SIGTERM)
        await until(lambda: not process_tree.is_alive(dying.pid), "the process has ended without a daemon")

        second = await den.daemon()
        inventory = second.inventory
        assert inventory.record == b"\x00version 1"
        assert inventory.daemon_starts == 2
        states = {each.key: each for each in inventory.children}
        assert states.keys() == {"lasting", "told", "dying"}
        assert states["told"].exit is not None
        assert states["told"].exit.code == 4
        ended = states["dying"].exit or await second.exit_of("dying")
        assert ended.code == 7
        assert states["lasting"].child is not None
        assert states["lasting"].child.start_time_ticks == lasting.start_time_ticks
        assert inventory.fds.keys() == {"listener:http:blue", "log:web"}
        with socket.socket(fileno=inventory.fds["listener:http:blue"]) as kept:
            client = socket.create_connection(address)
            accepted, _ = kept.accept()
            accepted.close()
            client.close()
        assert states["lasting"].child.send_signal(signal.SIGKILL)
        assert (await second.exit_of("lasting")).os_signal == signal.SIGKILL
        assert await asyncio.to_thread(os.read, inventory.fds["log:web"], 10) == b"", "the last writer is gone"
        os.close(inventory.fds["log:web"])
        for child in (lasting, dying):
            child.close()
        assert "killed by signal 9" in den.stderr()


async def test_hundreds_of_kept_descriptors_come_back() -> None:
    async with open_den() as den:
        den.start()
        first = await den.daemon()
        for number in range(600):
            fd = os.memfd_create(f"kept{number}")
            first.keeping.keep(f"key{number}", fd)
            os.close(fd)
        await first.keeping.put_record(b"r" * 3_000_000)
        await first.kill()
        second = await den.daemon()
        assert second.inventory.record == b"r" * 3_000_000
        assert len(second.inventory.fds) == 600
        for key, fd in second.inventory.fds.items():
            assert str(Path(f"/proc/self/fd/{fd}").readlink()) == f"/memfd:kept{key[3:]} (deleted)"
            os.close(fd)


async def test_what_the_daemon_sent_with_its_last_breath_is_done() -> None:
    async with open_den() as den:
        den.start()
        first = await den.daemon()
        assert den.process is not None
        den.process.send_signal(signal.SIGSTOP)
        record = asyncio.ensure_future(first.keeping.put_record(b"last"))
        spawn = asyncio.ensure_future(first.spawn("late", "sleep", "1000"))
        await pause()
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: not process_tree.is_alive(first.pid), "the daemon is dead")
        first.close()
        den.process.send_signal(signal.SIGCONT)
        second = await den.daemon()
        assert second.inventory.record == b"last"
        assert [each.key for each in second.inventory.children] == ["late"]
        for each in (record, spawn):
            with pytest.raises(KeeperGoneError):
                await each


async def test_a_stopped_daemon_keeps_nobody_from_being_reaped() -> None:
    async with open_den() as den:
        den.start()
        first = await den.daemon()
        children = [await first.spawn(f"k{number}", "sleep", "1000") for number in range(10)]
        first.keeping._loop.remove_reader(first.keeping._fd)
        for child in children:
            child.send_signal(signal.SIGKILL)
        await until(lambda: not any(process_tree.stat(child.pid) for child in children), "all are reaped")
        await first.kill()
        second = await den.daemon()
        assert [each.exit.os_signal for each in second.inventory.children if each.exit] == [9] * 10
        for child in children:
            child.close()


async def test_a_daemon_that_asks_for_its_new_code_is_started_at_once_without_complaint() -> None:
    async with open_den() as den:
        den.start()
        for _ in range(6):
            daemon = await den.daemon()
            daemon.order("exit 75")
            await daemon.leave()
        assert (await den.daemon()).inventory.daemon_starts == 7
        assert den.stderr() == ""


async def test_a_daemon_that_dies_again_and_again_is_started_with_growing_pauses_while_services_run() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        child = await daemon.spawn("a", "sleep", "1000")
        for _ in range(4):
            await daemon.kill()
            daemon = await den.daemon()
        assert process_tree.is_alive(child.pid)
        told = den.stderr().splitlines()
        assert [line.split("; ")[1] for line in told] == ["starting it again at once"] + [
            f"starting it again in {delay} s" for delay in ("0.1", "0.2", "0.4")
        ]
        assert "for the 4th time in a row" in told[3]
        assert told[3].endswith("1 processes keep running")
        child.close()


async def test_a_first_daemon_that_never_greets_ends_the_keeper_with_its_code() -> None:
    async with open_den() as den:
        den.start(keeper_command(["sh", "-c", "exit 9"]))
        assert await den.exit_code() == 9
        den.start(keeper_command(["sh", "-c", "kill -9 $$"]))
        assert await den.exit_code() == 137
        den.start(keeper_command(["/no/such/daemon"]))
        assert await den.exit_code() == 127
        assert "cannot run the daemon: exec: [Errno 2]" in den.stderr()


async def test_signals_reach_the_daemon_and_wait_until_it_has_greeted() -> None:
    async with open_den() as den:
        process = den.start()
        connected = await den.greeting()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        sock = connected[0]
        with pytest.raises(BlockingIOError):
            sock.recv(100)
        daemon = await den.daemon(connected=connected)
        assert {await daemon.word(), await daemon.word()} == {"signal 1", "signal 10"}
        for number in (signal.SIGUSR2, signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            assert await daemon.word() == f"signal {number}"


async def test_a_request_to_stop_is_repeated_to_the_next_daemon() -> None:
    async with open_den() as den:
        process = den.start()
        first = await den.daemon()
        process.send_signal(signal.SIGTERM)
        assert await first.word() == "signal 15"
        await first.kill()
        second = await den.daemon()
        assert await second.word() == "signal 15"
        await second.keeping.finish(0)
        second.order("exit 0")
        assert await den.exit_code() == 0


async def test_the_keeper_stops_everything_itself_when_daemons_die_over_a_request_to_stop() -> None:
    async with open_den() as den:
        process = den.start(_with_grace(den, "0.2"))
        first = await den.daemon()
        willing = await spawn_and_hear(first, "willing", *TRAPPING)
        stubborn = await spawn_and_hear(first, "stubborn", *STUBBORN)
        process.send_signal(signal.SIGTERM)
        await first.kill()
        second = await den.daemon()
        await second.kill()
        assert await den.exit_code() == 70
        assert not process_tree.is_alive(willing.pid)
        assert not process_tree.is_alive(stubborn.pid)
        assert "the keeper stops 2 processes itself" in den.stderr()
        willing.close()
        stubborn.close()


async def test_the_second_interrupt_kills_at_once_when_there_is_no_daemon() -> None:
    async with open_den() as den:
        process = den.start(_with_grace(den, "1000"))
        daemon = await den.daemon()
        stubborn = await spawn_and_hear(daemon, "stubborn", *STUBBORN)
        for delay in ("at once", "in 0.1 s", "in 0.2 s", "in 0.4 s"):
            await daemon.kill()
            daemon = await den.daemon()
            assert f"again {delay}" in den.stderr()
        await daemon.kill()
        await until(lambda: "again in 0.8 s" in den.stderr(), "the keeper has noticed")
        process.send_signal(signal.SIGINT)
        await until(lambda: "the keeper stops 1 processes itself" in den.stderr(), "the keeper gives up")
        assert process_tree.is_alive(stubborn.pid)
        process.send_signal(signal.SIGINT)
        assert await den.exit_code() == 70
        assert not process_tree.is_alive(stubborn.pid)
        stubborn.close()


def _with_grace(den: Den, seconds: str) -> list[str]:
    command = den.command()
    at = command.index("--")
    return [*command[:at], "--stop-grace-s", seconds, *command[at:]]


async def test_finishing_kills_all_that_is_left_however_deep_and_passes_the_code_on() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        for number in range(4):
            child = await spawn_and_hear(daemon, f"forks{number}", *PYTHON, DOUBLE_FORK, lines=3)
            child.close()
            assert (await daemon.exit_of(f"forks{number}")).code == 0
        stubborn = await spawn_and_hear(daemon, "stubborn", *STUBBORN)
        stubborn.close()
        await until(lambda: daemon.keeping.orphans_reaped == 12, "the intermediate processes are reaped")
        everything = below(den)
        assert len([pid for pid in everything if process_tree.is_alive(pid)]) >= 14
        await daemon.keeping.finish(33)
        daemon.order("exit 0")
        assert await den.exit_code() == 33
        assert not [pid for pid in everything if process_tree.stat(pid)]


async def test_a_daemon_that_finishes_and_stays_is_killed() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        await daemon.keeping.finish(3)
        daemon.keeping.close()
        assert await den.exit_code() == 3
        assert not process_tree.is_alive(daemon.pid)


async def test_a_daemon_that_sends_garbage_is_replaced() -> None:
    async with open_den() as den:
        den.start()
        sock, _pid, fd = await den.greeting()
        with socket.socket(fileno=fd) as link:
            link.send(b"\xff" * 12)
            den_process = den.process
            assert den_process is not None
            assert await den.exit_code() == 137, "it had never greeted"
        sock.close()

        den.start()
        first = await den.daemon()
        os.write(first.keeping._fd, b"\xff" * 12)
        await first.leave()
        second = await den.daemon()
        assert second.inventory.daemon_starts == 2
        assert "not a frame" in den.stderr()


async def test_malformed_requests_are_refused_and_harm_nothing() -> None:
    async with open_den() as den:
        den.start()
        daemon = await den.daemon()
        troubles: list[str] = []
        daemon.keeping.watch(daemon.exits.append, daemon.is_gone.set, troubles.append)
        for body in (
            {"op": "spawn", "key": "a"},
            {"op": "spawn", "key": "a", "argv": [1], "env": 3},
            {"op": "dance"},
            {},
        ):
            message = await daemon.keeping._ask(body)
            assert message.body["errno"] > 0, body
            daemon.keeping._tell(body)
        await until(lambda: len(troubles) == 4, "all are told")
        (await daemon.spawn("a", "true")).close()
        assert (await daemon.exit_of("a")).code == 0


async def test_the_daemon_hears_when_the_keeper_is_gone() -> None:
    async with open_den() as den:
        process = den.start()
        daemon = await den.daemon()
        asking = asyncio.ensure_future(daemon.keeping.put_record(b"x" * 10_000_000))
        process.kill()
        await asyncio.wait_for(daemon.is_gone.wait(), 10)
        with pytest.raises(KeeperGoneError):
            await asking
        with pytest.raises(KeeperGoneError):
            daemon.keeping.drop("a")


async def test_the_keeper_loads_the_standard_library_and_its_own_files_only() -> None:
    show = (
        "import runpy, sys; main = runpy.run_path(sys.argv[1]); main['_make_importable']();"
        "import aeterna.supervisor.keeper.setup;"
        "print(sorted(name for name, module in sys.modules.items() if name.split('.')[0] not in sys.stdlib_module_names"
        " and name != '__main__'))"
    )
    process = await asyncio.to_thread(
        __import__("subprocess").run, [*PYTHON, show, str(KEEPER_MAIN)], capture_output=True, text=True, check=True
    )
    names = ["children", "desk", "forking", "keeper", "setup", "wire"]
    packages = ["aeterna", "aeterna.supervisor", "aeterna.supervisor.keeper"]
    assert process.stdout.strip() == str([*packages, *(f"aeterna.supervisor.keeper.{name}" for name in names)])
    assert sys.executable == PYTHON[0]
