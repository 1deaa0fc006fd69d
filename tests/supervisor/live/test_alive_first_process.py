"""As process 1 of a pid namespace, as in a container: it reaps, obeys OS signals, and ends with the service's code."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.live.alive import APP, below, config, stats, wait_gone
from tests.supervisor.live.backend import Backend, free_port, get, wait_until

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")


@contextlib.contextmanager
def contained(folder: Path, port: int, *words: str, **more: Any) -> Iterator[Backend]:
    """A backend whose keeper is process 1."""
    backend = Backend(folder, config(port, *words, **more), APP)
    try:
        backend.start(prefix=UNSHARE)
        yield backend
    finally:
        backend.close()


def first_process(backend: Backend) -> int:
    """Process 1, as seen from outside."""
    assert backend.process is not None
    return min(pid for pid, _, parent in stats() if parent == backend.process.pid)


def test_it_is_process_1_and_reaps_orphans(tmp_path: Path) -> None:
    port = free_port()
    with contained(tmp_path, port) as backend:
        assert backend.status()["keeper_pid"] == 1
        first = first_process(backend)
        assert get(port, "/orphan/100") == "100"

        def reaped() -> bool:
            found = below(first)
            return len(found) == 2 and "Z" not in found.values()

        wait_until(reaped, "only the daemon and the service are left, and no zombie")
        os.kill(first, signal.SIGTERM)
        assert backend.process is not None
        assert backend.process.wait(20) == 0


@pytest.mark.parametrize("os_signal", [signal.SIGTERM, signal.SIGINT])
def test_an_os_signal_ends_everything_with_0(tmp_path: Path, os_signal: int) -> None:
    port = free_port()
    with contained(tmp_path, port) as backend:
        first = first_process(backend)
        get(port, "/daemonise")
        get(port, "/nest")
        everybody = below(first)
        assert len(everybody) == 5
        os.kill(first, os_signal)
        assert backend.process is not None
        assert backend.process.wait(20) == 0
        wait_gone(everybody)


def test_it_acts_on_hup_and_usr1(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "web.log"
    with contained(tmp_path, port, observability={"log": {"path": str(log)}}) as backend:
        first = first_process(backend)
        os.kill(first, signal.SIGHUP)
        wait_until(lambda: get(port).split()[1] == "2", "the next generation serves")
        backend.settle()
        log.rename(tmp_path / "moved.log")
        os.kill(first, signal.SIGUSR1)
        wait_until(log.exists, "the log file is there again")
        os.kill(first, signal.SIGTERM)
        assert backend.process is not None
        assert backend.process.wait(20) == 0


@pytest.mark.parametrize("code", [7, 0])
def test_it_ends_with_the_code_of_a_process_that_is_not_started_again(tmp_path: Path, code: int) -> None:
    port = free_port()
    with contained(tmp_path, port, restart="no") as backend:
        get(port, f"/end/{code}")
        assert backend.process is not None
        assert backend.process.wait(20) == code


def test_a_process_that_was_killed_gives_the_code_that_a_shell_would_give(tmp_path: Path) -> None:
    port = free_port()
    with contained(tmp_path, port, restart="no") as backend:
        get(port, f"/end/-{signal.SIGKILL:d}")
        assert backend.process is not None
        assert backend.process.wait(20) == 128 + signal.SIGKILL
