"""Descriptors that a service deposits: kept, handed to its next process, bounded, removed, and safe from the daemon."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.supervisor.live.alive import about, fd_count, get_json, lively, wait_pid
from tests.supervisor.live.backend import Backend, free_port, get, wait_until
from tests.supervisor.live.test_alive_daemon import kill_daemon


def stored(port: int) -> list[list[str]]:
    """What the present process inherited: names and contents, listeners included."""
    found: list[list[str]] = get_json(port, "/stored")
    return found


def crash(backend: Backend) -> int:
    """Kill the process; returns the pid of the next one."""
    pid = int(backend.service()["pid"])
    os.kill(pid, signal.SIGKILL)
    return wait_pid(backend, other_than=pid)


def wait_kept(backend: Backend, count: int) -> None:
    """Wait until the keeper holds so many memfds."""
    keeper = backend.status()["keeper_pid"]

    def kept() -> bool:
        links = []
        for entry in [*Path(f"/proc/{keeper}/fd").iterdir()]:
            # It may be closed between the two looks.
            with suppress(FileNotFoundError):
                links.append(str(entry.readlink()))
        return sum(link.startswith("/memfd:") for link in links) == count

    wait_until(kept, f"{count} memfds are with the keeper")


def test_what_a_process_deposits_is_handed_to_the_next_and_survives_the_daemon(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        pid = backend.service()["pid"]
        assert stored(port) == [["http", "socket"]]
        get(port, "/store/cache")
        get(port, "/store/index")
        get(port, "/store/index")
        wait_kept(backend, 3)
        wanted = [["http", "socket"], *([name, f"{name} of {pid}"] for name in ("cache", "index", "index"))]
        crash(backend)
        assert stored(port) == wanted
        kill_daemon(backend)
        crash(backend)
        assert stored(port) == wanted
        assert backend.reload()["result"] == "succeeded"
        assert stored(port) == wanted
        get(port, "/tell/FDSTOREREMOVE=1,FDNAME=index")
        wait_kept(backend, 1)
        crash(backend)
        assert stored(port) == wanted[:2]


def test_there_is_room_for_so_many_and_no_more(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        room = int(about(port)["env"]["FDSTORE"])
        for _ in range(room + 5):
            get(port, "/store/many")
        wait_kept(backend, room)
        assert "was not stored" in backend.log()
        crash(backend)
        assert len(stored(port)) == room + 1
        daemon = backend.status()["daemon_pid"]
        before = fd_count(daemon)
        get(port, "/tell/FDSTOREREMOVE=1,FDNAME=many")
        wait_kept(backend, 0)
        wait_until(lambda: fd_count(daemon) <= before - room, "the daemon has closed its copies")


def test_a_socket_whose_other_end_is_gone_is_dropped(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        get(port, "/store/socket-of-mine")
        get(port, "/store/cache")
        wait_kept(backend, 1)
        crash(backend)
        # The other end died with the process; the memfd did not.
        wait_until(lambda: crash(backend) and len(stored(port)) == 2, "only the memfd is handed on")
        assert [name for name, _ in stored(port)] == ["http", "cache"]
