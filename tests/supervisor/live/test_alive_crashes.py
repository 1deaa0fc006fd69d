"""Processes that die: started again, told why, slowed down, given up; and nothing of them is left."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.live.alive import APP, below, config, detached, fd_count, lively, wait_pid
from tests.supervisor.live.backend import Backend, free_port, get, wait_until

KILLS = 1_000 if os.environ.get("AETERNA_CHAOS") else 30


def test_a_killed_process_is_started_again_and_the_reason_is_shown(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        pid = int(get(port).split()[0])
        os.kill(pid, signal.SIGKILL)
        fresh = wait_pid(backend, other_than=pid)
        assert get(port).split() == [str(fresh), "2"]
        service = backend.ask("GET", "/v1/services/web")[1]
        assert service["last_exit"] == "killed by SIGKILL"
        assert service["restarts"] == 1
        shown = backend.run("status", "-c", str(backend.path))
        assert "killed by SIGKILL" in shown.stdout


@pytest.mark.parametrize(("end", "reason"), [("9", "exit code 9"), (f"-{signal.SIGSEGV:d}", "killed by SIGSEGV")])
def test_the_last_words_of_a_process_are_kept(tmp_path: Path, end: str, reason: str) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        pid = int(get(port).split()[0])
        get(port, f"/end/{end}")
        wait_pid(backend, other_than=pid)
        service = backend.ask("GET", "/v1/services/web")[1]
        assert service["last_exit"].startswith(reason)
        assert "these are the last words" in backend.run("logs", "-c", str(backend.path)).stdout
        assert "these are the last words" in str(service)


def test_a_crash_loop_backs_off_is_given_up_and_a_reload_with_good_code_ends_it(tmp_path: Path) -> None:
    port = free_port()
    policy = {"delay": "100ms", "max_attempts": 4, "jitter": 0}
    with detached(tmp_path, config(port, restart_policy=policy)) as backend:
        backend.configure(config(port, "crash=5", restart_policy=policy))
        backend.write_app(APP.replace("def main() -> None:", "def main() -> None:\n    leave(5)\n"))
        os.kill(int(get(port).split()[0]), signal.SIGKILL)
        seen: set[str] = set()

        def given_up() -> dict[str, Any] | None:
            service = backend.service()
            seen.add(service["state"])
            return service if service["state"] == "FAILED" else None

        service = wait_until(given_up, "it is given up")
        assert "BACKOFF" in seen
        assert "crash loop: 4 deaths" in service["detail"]
        assert "exit code 5" in service["detail"]
        assert "crash loop" in backend.run("status", "-c", str(backend.path)).stdout
        said = backend.run("logs", "-c", str(backend.path)).stdout
        assert "starts again in 100 ms" in said
        assert "starts again in 200 ms" in said
        backend.write_app(APP)
        backend.configure(config(port))
        assert backend.run("reload", "-c", str(backend.path)).returncode == 0
        assert get(port).split()[0] == str(backend.service()["pid"])


def test_a_code_that_means_it_cannot_start_is_not_tried_again(tmp_path: Path) -> None:
    port = free_port()
    backend = Backend(tmp_path, config(port, "crash=3"), APP)
    try:
        backend.start(wait_ready=False)
        assert backend.process is not None
        assert backend.process.wait(20) == 3
        assert "cannot start" in backend.log()
    finally:
        backend.close()


@pytest.mark.parametrize(
    ("rule", "code", "ends_with"),
    [
        ("no", 7, 7),
        ("no", 0, 0),
        ("on-failure", 0, 0),
        ("on-failure", 7, None),
        ("always", 0, None),
        ("unless-stopped", 7, None),
    ],
)
def test_the_rule_decides_whether_it_is_started_again(
    tmp_path: Path, rule: str, code: int, ends_with: int | None
) -> None:
    """If it is not, a supervisor in the foreground ends with the process's own code."""
    port = free_port()
    with lively(tmp_path, port, restart=rule) as backend:
        assert backend.process is not None
        pid = int(get(port).split()[0])
        get(port, f"/end/{code}")
        if ends_with is None:
            wait_pid(backend, other_than=pid)
            assert backend.stop() == 0
        else:
            assert backend.process.wait(20) == ends_with


def test_a_stop_is_no_failure_and_nothing_starts_after_it(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port, "on_term=0", restart="always") as backend:
        assert backend.run("stop", "-c", str(backend.path)).returncode == 0
        assert backend.process is not None
        assert backend.process.wait(20) == 0
        assert "web/2" not in backend.log()


@pytest.mark.timeout(60 + KILLS)
def test_random_kills_leave_no_zombie_no_descriptor_and_no_process(tmp_path: Path) -> None:
    """Each process has children of several kinds when it is killed, some of which hide."""
    port = free_port()
    chance = random.Random(4)
    more = {"restart_policy": {"delay": "0s", "max_attempts": 0}}
    with lively(tmp_path, port, **more) as backend:
        document = backend.status()
        pids = {"daemon": document["daemon_pid"], "keeper": document["keeper_pid"]}
        pid = document["current_pid"]
        os.kill(pid, signal.SIGKILL)
        pid = wait_pid(backend, other_than=pid)
        get(port)
        wait_until(lambda: len(below(pids["keeper"])) == 2, "only the daemon and the service run")
        before = {name: fd_count(each) for name, each in pids.items()}
        for _ in range(KILLS):
            if chance.random() < 0.7:
                get(port, chance.choice(["/child", "/nest", "/daemonise"]))
            os.kill(pid, signal.SIGKILL)
            pid = wait_pid(backend, other_than=pid)
        get(port)

        def clean() -> bool:
            found = below(pids["keeper"])
            return set(found) == {pids["daemon"], backend.service()["pid"]} and "Z" not in found.values()

        wait_until(clean, "nothing is left of those that were killed")
        for name, each in pids.items():
            wait_until(
                lambda name=name, each=each: fd_count(each) <= before[name],
                f"{name} has {before[name]} descriptors again",
            )
        assert backend.service()["restarts"] == KILLS + 1
