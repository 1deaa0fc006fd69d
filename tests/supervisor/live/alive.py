"""What the tests of staying alive share: the lively service, and counts of what a process holds."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h11

from tests.supervisor.live.backend import Backend, get, request, running, wait_until

APPS = Path(__file__).parent / "apps"
APP = (APPS / "lively.py").read_text()


def config(port: int, *words: str, **more: Any) -> dict[str, Any]:
    """The lively service; ``words`` are its arguments, ``more`` replaces top keys."""
    return {
        "version": "v1",
        "service": {"name": "web", "command": [sys.executable, "-I", "-S", "app.py", *words]},
        "sockets": {"http": {"listen": f"127.0.0.1:{port}"}},
        "orchestration": {"strategy": "immediate", "drain": {"timeout": "5s", "lame_duck": "0s"}},
        "restart_policy": {"delay": "20ms", "max_attempts": 0},
        **more,
    }


def lively(folder: Path, port: int, *words: str, **more: Any) -> contextlib.AbstractContextManager[Backend]:
    """It, running."""
    return running(folder, config(port, *words, **more), APP)


@contextlib.contextmanager
def detached(folder: Path, settings: dict[str, Any], app: str = APP) -> Iterator[Backend]:
    """A backend that was started in the background, stopped at the end."""
    backend = Backend(folder, settings, app)
    try:
        done = backend.run("start", "-d", "-c", str(backend.path))
        assert done.returncode == 0, done.stderr
        yield backend
        done = backend.run("stop", "-c", str(backend.path))
        assert done.returncode == 0, done.stderr
    finally:
        backend.close()


def fd_count(pid: int) -> int:
    return sum(1 for _ in os.scandir(f"/proc/{pid}/fd"))


def stats() -> list[tuple[int, str, int]]:
    """Pid, state and parent of every process."""
    found = []
    for name in [entry.name for entry in os.scandir("/proc")]:
        if name.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
                found.append((int(name), fields[0], int(fields[1])))
    return found


def below(pid: int) -> dict[int, str]:
    """The states of all processes below this one."""
    found, seen = {pid: ""}, -1
    everything = stats()
    while seen != len(found):
        seen = len(found)
        found.update({child: state for child, state, parent in everything if parent in found})
    del found[pid]
    return found


def lives(pid: int) -> bool:
    """Whether there is such a process and it has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def noted(backend: Backend) -> list[int]:
    """The pids that the service has written down."""
    return [int(line) for line in (backend.folder / "pids").read_text().split()]


def wait_gone(pids: Iterable[int], seconds: float = 5.0) -> None:
    """Return when none of these processes lives."""
    wait_until(lambda: not any(lives(pid) for pid in pids), "the processes are gone", seconds)


def wait_pid(backend: Backend, *, other_than: int) -> int:
    """The pid of the running process, once it is another one."""

    def other() -> int | None:
        service = backend.service()
        return service["pid"] if service["state"] == "RUNNING" and service["pid"] != other_than else None

    return int(wait_until(other, "another process runs"))


def try_get(port: int, path: str) -> str:
    """An answer, or nothing if the process dies over it."""
    with contextlib.suppress(OSError, AssertionError, h11.RemoteProtocolError):
        return get(port, path)
    return ""


def get_json(port: int, path: str) -> Any:
    """The document that answers this."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        return request(sock, "GET", path)[1]


def about(port: int) -> dict[str, Any]:
    """How the process was started."""
    found: dict[str, Any] = get_json(port, "/about")
    return found
