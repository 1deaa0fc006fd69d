"""Every fault in every state of a handover, with real processes: who serves, who has the lease, what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.live import matrix
from tests.supervisor.live.backend import Backend, free_port, get, wait_until
from tests.supervisor.live.matrix import Cell

IS_FULL = bool(os.environ.get("AETERNA_CHAOS"))
CELLS = matrix.all_cells() if IS_FULL else matrix.few_cells()
APP = (Path(__file__).parent / "apps" / "fragile.py").read_text()

FREEZE_S = 1.0
"""Longer than any phase is to take."""
SLOW = {
    "old": {"quiesce": 400, "dump": 400},
    "new": {"import": 500, "load": 400, "lease": 400},
}


def config(port: int) -> dict[str, Any]:
    """Every phase takes long enough to be hit, and every deadline is short."""
    return {
        "version": "v1",
        "service": {"name": "web", "command": [sys.executable, "-m", "aeterna", "run-asgi", "app:app"]},
        "sockets": {"http": {"listen": f"127.0.0.1:{port}"}},
        "orchestration": {
            "strategy": "canary",
            "pre_flight": [{"name": "slow", "command": ["sleep", "0.4"], "timeout": "5s"}],
            "startup": {"timeout": "4s"},
            "canary": {"soak_time": "1s"},
            "drain": {"lame_duck": "300ms", "timeout": "2s"},
            "state_handoff": {
                "enabled": True,
                "timeout": "1500ms",
                "blackout_max": "1800ms",
                "keep_snapshot": "50ms",
            },
        },
        "healthcheck": {"http_get": "/", "interval": "200ms", "timeout": "500ms", "retries": 2},
        "restart_policy": {"delay": "50ms", "max_attempts": 20},
        "stop_grace_period": "2s",
    }


@contextlib.contextmanager
def clients(port: int) -> Iterator[list[str]]:
    """One client after the other, each with one request; the list gets what failed."""
    failed: list[str] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.wait(0.01):
            try:
                get(port)
            except (OSError, AssertionError) as error:
                if not is_over.is_set():
                    failed.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield failed
    finally:
        is_over.set()
        thread.join()


class Follower:
    """The events of the control API, as they come."""

    def __init__(self, backend: Backend) -> None:
        last = backend.status()["event_id"]
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(30)
        self._sock.connect(os.fspath(backend.control))
        self._sock.sendall(f"GET /v1/events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {last}\r\n\r\n".encode())
        self._file = self._sock.makefile("rb")

    def wait_for(self, state: str) -> bool:
        """Return when the service enters the state; False when it has come to rest without."""
        for line in self._file:
            if line.startswith(b"data:"):
                data = json.loads(line[5:])
                if data.get("to") == state:
                    return True
                if data.get("to") == "RUNNING":
                    return False
        return False

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def write_fault(backend: Backend, cell: Cell) -> None:
    """What the two processes of the handover will do; those after them behave."""
    faults: dict[str, Any] = {"generations": ["1", "2"], "old": {"slow": SLOW["old"]}, "new": {"slow": SLOW["new"]}}
    if cell in matrix.frame_cells():
        fault, kind, role = cell.fault.split("-")
        faults[role]["frames"] = {kind: fault}
    if cell.fault == "load-raises":
        faults["new"]["load"] = "raise"
    if cell.fault == "no-space-to-load":
        faults["new"]["load"] = "full"
    if cell.fault == "no-space":
        faults["old"]["dump"] = "full"
    (backend.folder / "fault.json").write_text(json.dumps(faults))


def break_the_release(backend: Backend, cell: Cell, port: int) -> None:
    """Faults that are in what is deployed."""
    fresh = config(port)
    service, orchestration = fresh["service"], fresh["orchestration"]
    match cell.fault:
        case "exec-fails":
            service["command"] = ["/nonexistent/program"]
        case "exec-denied":
            service["command"] = ["/etc/passwd"]
        case "no-such-directory":
            service["cwd"] = "/nonexistent/directory"
        case "check-fails":
            orchestration["pre_flight"][0]["command"] = ["false"]
        case "check-missing":
            orchestration["pre_flight"][0]["command"] = ["/nonexistent/check"]
        case "hook-fails":
            orchestration["post_process"] = {"on_success": [{"name": "broken", "command": ["/nonexistent/hook"]}]}
        case "config-invalid":
            orchestration["strategy"] = "canaries"
        case _:
            return
    backend.configure(fresh)


def strike(backend: Backend, cell: Cell, pids: dict[str, int]) -> list[int]:
    """Do it; returns the processes that are stopped."""
    service = backend.service()
    generations = {each["generation"]: each["pid"] for each in service["generations"]}
    match cell.fault:
        case "kill-new":
            os.kill(generations[2], signal.SIGKILL)
        case "kill-old":
            os.kill(pids["old"], signal.SIGKILL)
        case "kill-daemon":
            os.kill(pids["daemon"], signal.SIGKILL)
        case "freeze-daemon":
            os.kill(pids["daemon"], signal.SIGSTOP)
            time.sleep(FREEZE_S)
            os.kill(pids["daemon"], signal.SIGCONT)
        case "freeze-new":
            os.kill(generations[2], signal.SIGSTOP)
            return [generations[2]]
        case "freeze-old":
            os.kill(pids["old"], signal.SIGSTOP)
            return [pids["old"]]
        case "second-reload":
            code, _ = backend.ask("POST", "/v1/reload")
            assert code == (202 if cell.state == "DRAIN" else 409)
        case "hangup":
            assert backend.process is not None
            backend.process.send_signal(signal.SIGHUP)
        case "stop":
            backend.ask("POST", "/v1/stop")
    return []


def fd_count(pid: int) -> int:
    return sum(1 for _ in os.scandir(f"/proc/{pid}/fd"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_fault_in_a_state_ends_as_documented(cell: Cell, tmp_path: Path) -> None:
    port = free_port()
    backend = Backend(tmp_path, config(port), APP)
    write_fault(backend, cell)
    try:
        backend.start()
        before = backend.status()
        pids = {"old": before["current_pid"], "daemon": before["daemon_pid"], "keeper": before["keeper_pid"]}
        fds = {name: fd_count(pids[name]) for name in ("daemon", "keeper")}
        with contextlib.closing(Follower(backend)) as follower, clients(port) as failed:
            break_the_release(backend, cell, port)
            code, answer = backend.ask("POST", "/v1/reload")
            reload_id = answer.get("id", "web-1")
            frozen: list[int] = []
            if code == 202:
                with held_keeper(cell, pids["keeper"], follower):
                    assert follower.wait_for(cell.state), backend.log()[-3000:]
                    frozen = strike(backend, cell, pids)
            if cell.expects.serves == {matrix.NOBODY}:
                assert backend.process is not None
                assert backend.process.wait(30) == 0
                return
            if cell.expects.results:
                result = backend.report(reload_id)["result"]
                assert result in cell.expects.results, backend.log()[-4000:]
            for pid in frozen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            service = settle(backend)
        assert who_serves(service["generation"]) in cell.expects.serves, backend.log()[-4000:]
        assert service["lease"] == service["generation"]
        assert len(failed) <= cell.expects.failed_max, (failed, backend.log()[-4000:])
        nothing_is_left(backend, pids, fds, has_new_daemon=cell.fault == "kill-daemon")
        wait_until(lambda: int(get(port).split()[1]) == backend.service()["generation"], "who is said to serve answers")
    finally:
        backend.close()


KEEPERS_OWN = frozenset({"exec-fails", "exec-denied"})
"""Faults that the keeper meets itself."""
HELD = {"SPAWN": "PREFLIGHT", "PROMOTE": "SOAK"}
"""States that are over in a millisecond, because the keeper answers so fast, and those before them."""


@contextlib.contextmanager
def held_keeper(cell: Cell, keeper: int, follower: Follower) -> Iterator[None]:
    """Keep the keeper still from the state before on, so that the cell's state lasts."""
    if cell.state not in HELD or cell.fault in KEEPERS_OWN:
        yield
        return
    assert follower.wait_for(HELD[cell.state])
    os.kill(keeper, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGCONT)


def settle(backend: Backend) -> dict[str, Any]:
    """Wait until one generation serves alone; returns the service's document."""

    def alone() -> dict[str, Any] | None:
        with contextlib.suppress(OSError):
            service = backend.service()
            if service["state"] == "RUNNING" and len(service["generations"]) == 1 and service["reload"] is None:
                return service
        return None

    return wait_until(alone, "one generation serves", 30)


def who_serves(generation: int) -> str:
    return {1: matrix.OLD, 2: matrix.NEW}.get(generation, matrix.FRESH)


def nothing_is_left(backend: Backend, pids: dict[str, int], fds: dict[str, int], *, has_new_daemon: bool) -> None:
    """No zombie below the keeper, no descriptor more than before."""
    states = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) in (pids["keeper"], pids["daemon"]):
                    states[int(entry.name)] = fields[0]
    assert "Z" not in states.values()
    names = ["keeper"] if has_new_daemon else ["keeper", "daemon"]
    for name in names:
        wait_until(lambda name=name: fd_count(pids[name]) <= fds[name], f"{name} has no descriptor more than before", 5)
