"""After a stop nothing is left, however processes hide; and a generation that leaves takes all its processes along."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from aeterna.supervisor.host import limits
from tests.supervisor.live.alive import APP, config, lively, lives, noted, wait_gone, wait_pid
from tests.supervisor.live.backend import Backend, free_port, get, wait_until

HIDDEN = (*["/child"] * 8, *["/nest"] * 5, *["/daemonise"] * 5)
NO_GROUPS = ("unshare", "--mount", "sh", "-c", 'umount -a -t cgroup2; exec "$@"', "sh")
"""Runs a command where no control groups can be used."""


def groups_of(backend: Backend) -> list[Path]:
    """The control groups that this supervisor has made."""
    base = limits.detect().base
    name = next((backend.runtime / "aeterna").iterdir()).name
    return [] if base is None else list(base.glob(f"aeterna-{name}"))


@pytest.mark.parametrize("prefix", [(), NO_GROUPS], ids=["groups", "no groups"])
@pytest.mark.parametrize("way", ["stop", "TERM", "INT"])
def test_after_the_end_nothing_is_left(tmp_path: Path, way: str, prefix: tuple[str, ...]) -> None:
    """40 plain children, 5 that fork, 5 that make themselves daemons and clear their environment."""
    port = free_port()
    backend = Backend(tmp_path, config(port), APP)
    try:
        backend.start(prefix=prefix)
        for target in (*["/child"] * 40, *["/nest"] * 5, *["/daemonise"] * 5):
            get(port, target)
        pids = noted(backend)
        assert len(pids) == 55
        assert all(lives(pid) for pid in pids)
        assert backend.process is not None
        groups = groups_of(backend)
        assert groups or prefix or limits.detect().base is None
        if way == "stop":
            assert backend.run("stop", "-c", str(backend.path)).returncode == 0
            # The command waits until everything is gone.
            assert not any(lives(pid) for pid in pids)
        else:
            backend.process.send_signal(getattr(signal, f"SIG{way}"))
        assert backend.process.wait(20) == 0
        assert not any(lives(pid) for pid in pids)
        assert not any(group.exists() for group in groups)
        assert not list((backend.runtime / "aeterna").glob("*/*.sock"))
    finally:
        backend.close()


def test_a_generation_that_is_replaced_takes_its_daemons_along(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        for target in HIDDEN:
            get(port, target)
        old = noted(backend)
        (tmp_path / "pids").unlink()
        assert backend.reload()["result"] == "succeeded"
        new = [int(get(port, "/daemonise"))]
        backend.settle()
        wait_gone(old)
        assert all(lives(pid) for pid in new)


def test_a_process_that_crashes_takes_its_daemons_along(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        for target in HIDDEN:
            get(port, target)
        pid = backend.service()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_pid(backend, other_than=pid)
        wait_gone(noted(backend))


def test_a_process_that_ignores_the_stop_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    port = free_port()
    app = APP.replace('lambda *_: os._exit(int(settings.get("on_term", 0)))', "signal.SIG_IGN")
    assert "signal.SIG_IGN" in app
    backend = Backend(tmp_path, config(port, stop_grace_period="300ms"), app)
    try:
        backend.start()
        pid = backend.service()["pid"]
        assert backend.run("stop", "-c", str(backend.path)).returncode == 0
        assert not lives(pid)
        assert backend.process is not None
        assert backend.process.wait(20) == 0
    finally:
        backend.close()


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    port = free_port()
    app = APP.replace('lambda *_: os._exit(int(settings.get("on_term", 0)))', "signal.SIG_IGN")
    backend = Backend(tmp_path, config(port, stop_grace_period="1h"), app)
    try:
        backend.start()
        assert backend.process is not None
        backend.process.send_signal(signal.SIGINT)
        wait_until(lambda: backend.service()["state"] == "STOPPING", "it is stopping")
        backend.process.send_signal(signal.SIGINT)
        assert backend.process.wait(20) == 0
    finally:
        backend.close()
