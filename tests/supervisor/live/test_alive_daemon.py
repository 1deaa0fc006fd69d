"""The daemon, the part that decides, dies or is replaced; the services do not notice, and nothing is forgotten."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from bench.supervisor.connection import Address
from bench.supervisor.load import LoadProcess, LoadSpec
from bench.supervisor.records import Outcome
from tests.supervisor.live.alive import APP, below, config, fd_count, lively, lives, wait_gone, wait_pid
from tests.supervisor.live.backend import Backend, free_port, get, wait_until


def daemon_pid(backend: Backend) -> int:
    return int(backend.status()["daemon_pid"])


def wait_new_daemon(backend: Backend, *, other_than: int) -> int:
    """The pid of the daemon that answers, once it is another one."""

    def other() -> int:
        with contextlib.suppress(OSError, ConnectionError):
            pid = daemon_pid(backend)
            return 0 if pid == other_than else pid
        return 0

    return int(wait_until(other, "another daemon answers"))


def kill_daemon(backend: Backend) -> int:
    """Kill it and wait for the next one; returns that one's pid."""
    pid = daemon_pid(backend)
    os.kill(pid, signal.SIGKILL)
    return wait_new_daemon(backend, other_than=pid)


@pytest.mark.timeout(120)
def test_under_load_the_death_of_the_daemon_fails_no_request_and_a_reload_works_afterwards(tmp_path: Path) -> None:
    port = free_port()
    folder = tmp_path / "load"
    folder.mkdir()
    spec = LoadSpec(address=Address(port=port), rate_per_s=100, closed_clients=4, think_ms=5)
    with lively(tmp_path, port) as backend, LoadProcess(spec, folder) as load:
        pid = backend.service()["pid"]
        load.start()
        for _ in range(3):
            kill_daemon(backend)
            service = backend.service()
            assert (service["pid"], service["generation"], service["restarts"]) == (pid, 1, 0)
        records = load.stop()
        assert len(records) > 50
        assert [each for each in records if each.outcome is not Outcome.OK] == []
        assert backend.reload()["result"] == "succeeded"
        assert backend.settle()["generation"] == 2
        assert backend.stop() == 0


def test_what_is_said_and_who_dies_while_there_is_no_daemon_is_not_lost(tmp_path: Path) -> None:
    """The keeper is held still, so that the daemon stays away until the process has spoken and ended."""
    port = free_port()
    with lively(tmp_path, port) as backend:
        document = backend.status()
        daemon, keeper, pid = document["daemon_pid"], document["keeper_pid"], document["current_pid"]
        os.kill(keeper, signal.SIGSTOP)
        os.kill(daemon, signal.SIGKILL)
        get(port, "/say/spoken-to-nobody")
        get(port, "/end/42")
        wait_until(lambda: below(keeper).get(pid) == "Z", "the process has ended")
        os.kill(keeper, signal.SIGCONT)
        wait_new_daemon(backend, other_than=daemon)
        wait_pid(backend, other_than=pid)
        service = backend.service()
        assert (service["last_exit"], service["restarts"]) == ("exit code 42", 1)
        assert "spoken-to-nobody" in backend.log()
        assert "these are the last words" in backend.log()
        get(port, "/say/spoken-to-the-successor")
        wait_until(lambda: "spoken-to-the-successor" in backend.log(), "logs go on")


def test_the_daemon_is_upgraded_in_place_by_an_os_signal(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        assert backend.process is not None
        document = backend.status()
        backend.process.send_signal(signal.SIGUSR2)
        daemon = wait_new_daemon(backend, other_than=document["daemon_pid"])
        after = backend.status()
        assert after["keeper_pid"] == document["keeper_pid"] == backend.process.pid
        assert after["current_pid"] == document["current_pid"]
        assert after["started_at"] == document["started_at"]
        assert not lives(document["daemon_pid"])
        assert lives(daemon)
        assert get(port).split() == [str(document["current_pid"]), "1"]
        assert backend.run("stop", "-c", str(backend.path)).returncode == 0
        assert backend.process.wait(20) == 0


def test_many_daemons_in_a_row_leave_no_descriptor_behind(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        keeper = backend.status()["keeper_pid"]
        kill_daemon(backend)
        before = fd_count(keeper)
        for _ in range(3):
            daemon = kill_daemon(backend)
        wait_until(lambda: fd_count(keeper) <= before, "the keeper has no descriptor more than before")
        assert set(below(keeper)) == {daemon, backend.service()["pid"]}
        assert backend.reload()["result"] == "succeeded"
        backend.settle()
        wait_until(lambda: fd_count(keeper) <= before, "the keeper has no descriptor more than before")


def test_a_daemon_that_cannot_come_back_does_not_prevent_the_end(tmp_path: Path) -> None:
    """It is killed again and again; TERM to the keeper ends everything all the same."""
    port = free_port()
    with lively(tmp_path, port) as backend:
        assert backend.process is not None
        document = backend.status()
        keeper, pid = document["keeper_pid"], document["current_pid"]
        end = time.monotonic() + 20
        backend.process.send_signal(signal.SIGTERM)
        while backend.process.poll() is None:
            assert time.monotonic() < end
            for each in set(below(keeper)) - {pid}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
        wait_gone([pid])


def test_when_the_keeper_is_killed_everything_ends(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        assert backend.process is not None
        get(port, "/child")
        hidden = [int(get(port, "/daemonise")), *map(int, get(port, "/nest").split())]
        everybody = [*below(backend.process.pid), *hidden]
        os.kill(backend.process.pid, signal.SIGKILL)
        wait_gone(everybody)
        backend.process.wait(20)
        backend.start()
        assert backend.reload()["result"] == "succeeded"


PHASES = {
    "PREFLIGHT": {"pre_flight": [{"name": "slow", "command": ["sleep", "0.6"]}]},
    "WARMING": {},
    "SOAK": {"strategy": "canary", "canary": {"weights": [50, 100], "step_time": "1s", "soak_time": "2s"}},
    "DRAIN": {},
}
AFTER = {
    "PREFLIGHT": ("preflight_failed", 1),
    "WARMING": ("start_failed", 1),
    "SOAK": ("succeeded", 2),
    "DRAIN": ("succeeded", 2),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("state", PHASES)
def test_a_handover_whose_daemon_dies_ends_as_documented(tmp_path: Path, state: str) -> None:
    """Before the commit it is aborted; afterwards it goes on. (Phases that move state are in the fault matrix.)"""
    port = free_port()
    orchestration = {"strategy": "immediate", "drain": {"timeout": "3s", "lame_duck": "0s"}, **PHASES[state]}
    words = ["slow=0.6"] if state == "WARMING" else []
    app = APP.replace("lambda *_: os._exit", "lambda *_: time.sleep(0.8) or os._exit")
    backend = Backend(tmp_path, config(port, *words, orchestration=orchestration), app)
    try:
        backend.start()
        code, answer = backend.ask("POST", "/v1/reload")
        assert code == 202, answer
        wait_until(lambda: backend.service()["state"] == state, f"the handover is in {state}")
        kill_daemon(backend)
        result, generation = AFTER[state]
        assert backend.report(answer["id"])["result"] == result
        assert backend.settle()["generation"] == generation
        assert get(port).split()[1] == str(generation)
        assert backend.stop() == 0
    finally:
        backend.close()
