"""In the background: when the start returns and with what, and commands from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor.live.alive import APP, below, config, detached, lives, wait_gone
from tests.supervisor.live.backend import Backend, free_port, get


def elsewhere(backend: Backend, *words: str) -> subprocess.CompletedProcess[str]:
    """A command from another directory and session."""
    return subprocess.run(
        [sys.executable, "-m", "aeterna", *words, "-c", str(backend.path)],
        cwd="/",
        env=backend.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )


def test_the_start_returns_when_the_service_is_ready_and_commands_work_from_elsewhere(tmp_path: Path) -> None:
    port = free_port()
    with detached(tmp_path, config(port, "slow=0.3")) as backend:
        pid = get(port).split()[0]
        keeper = backend.status()["keeper_pid"]
        assert os.getsid(keeper) != os.getsid(0)
        assert pid in elsewhere(backend, "status").stdout
        get(port, "/say/hello-from-the-service")
        assert "hello-from-the-service" in elsewhere(backend, "logs").stdout

        second = elsewhere(backend, "start", "-d")
        assert second.returncode != 0
        assert f"runs already as process {keeper}" in second.stderr
        third = elsewhere(backend, "start")
        assert (third.returncode, third.stderr) == (second.returncode, second.stderr)

        assert elsewhere(backend, "reload").returncode == 0
        fresh = get(port).split()
        assert fresh[1] == "2"
        assert elsewhere(backend, "restart").returncode == 0
        again = get(port).split()
        assert again[1] == "3"
        everybody = [keeper, *below(keeper)]
        assert elsewhere(backend, "stop").returncode == 0
        assert not any(lives(each) for each in everybody)
        assert elsewhere(backend, "status").returncode != 0
        # The context stops it once more.
        assert backend.run("start", "-d", "-c", str(backend.path)).returncode == 0


@pytest.mark.parametrize("word", ["crash=3", "crash=1"])
def test_a_start_that_fails_says_why(tmp_path: Path, word: str) -> None:
    port = free_port()
    backend = Backend(tmp_path, config(port, word, restart_policy={"delay": "10ms", "max_attempts": 2}), APP)
    try:
        done = backend.run("start", "-d", "-c", str(backend.path))
        assert done.returncode == 11
        assert f"exit code {word[-1]}" in done.stdout + done.stderr
        assert "these are the last words" in done.stdout + done.stderr
        backend.run("stop", "-c", str(backend.path))
        wait_gone(backend.processes())
    finally:
        backend.close()


def test_a_start_without_its_port_says_who_has_it(tmp_path: Path) -> None:
    port = free_port()
    other = tmp_path / "other"
    other.mkdir()
    with detached(tmp_path, config(port)):
        backend = Backend(other, config(port), APP)
        try:
            done = backend.run("start", "-d", "-c", str(backend.path))
            assert done.returncode == 11
            assert str(port) in done.stderr
            assert "is in use by pid" in done.stderr
            # It goes on trying, as the restart policy says.
            assert elsewhere(backend, "stop").returncode == 0
            wait_gone(backend.processes())
        finally:
            backend.close()


def test_the_doctor_says_which_limits_are_not_enforced(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aeterna", "doctor", "--quick"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "limits" in done.stdout
