"""What services write: never lost for want of a reader, never in their way, in files that rotate and can be moved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.supervisor.live.alive import APP, config, lively
from tests.supervisor.live.backend import Backend, free_port, get, wait_until


def holds(log: Path, text: str) -> bool:
    """Whether the file is there and has this in it."""
    try:
        return text in log.read_text()
    except FileNotFoundError:
        return False


def test_a_log_file_that_was_moved_is_opened_anew_on_usr1(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "web.log"
    with lively(tmp_path, port, observability={"log": {"path": str(log)}}) as backend:
        assert backend.process is not None
        get(port, "/say/the-first-line")
        wait_until(lambda: holds(log, "the-first-line"), "it is written")
        log.rename(tmp_path / "moved.log")
        backend.process.send_signal(signal.SIGUSR1)
        wait_until(log.exists, "the file is there again")
        get(port, "/say/the-second-line")
        wait_until(lambda: holds(log, "the-second-line"), "it is written")
        assert "the-second-line" not in (tmp_path / "moved.log").read_text()


def test_a_log_file_is_rotated_when_it_is_full(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "web.log"
    settings = {"log": {"path": str(log), "max_size": "100k", "max_files": 3}}
    with lively(tmp_path, port, observability=settings):
        get(port, "/flood/5000")
        # Between two files there is, for a moment, none.
        wait_until(lambda: holds(log, "line 4999 "), "all is written")
        files = sorted(each.name for each in tmp_path.glob("web.log*"))
        assert files == ["web.log", "web.log.1", "web.log.2"]
        assert all((tmp_path / name).stat().st_size <= 102_400 for name in files)


def test_a_service_that_floods_its_output_is_not_blocked_when_nobody_reads_the_supervisors(tmp_path: Path) -> None:
    """The supervisor's own output goes into a pipe that is full after a moment."""
    port = free_port()
    log = tmp_path / "web.log"
    backend = Backend(tmp_path, config(port, observability={"log": {"path": str(log)}}), APP)
    process = subprocess.Popen(
        [sys.executable, "-m", "aeterna", "start", "-c", str(backend.path)],
        cwd=tmp_path,
        env=backend.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    backend.process = process
    backend.output.touch()
    try:
        with process:
            wait_until(backend._is_ready, "the service is ready")
            seconds = float(get(port, "/flood/50000"))
            assert seconds < 30
            get(port, "/say/after-the-flood")
            wait_until(lambda: "after-the-flood" in log.read_text(errors="replace"), "the file has the rest")
            assert backend.run("logs", "-n", "5", "-c", str(backend.path)).stdout.count("\n") == 5
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stdout is not None
            assert b"STARTING -> RUNNING" in process.stdout.read()
    finally:
        backend.close()


def test_nobody_reads_and_then_nobody_is_there_to_read(tmp_path: Path) -> None:
    """The reader of the supervisor's output goes away: services go on."""
    port = free_port()
    backend = Backend(tmp_path, config(port), APP)
    reader, writer = os.pipe()
    backend.output.touch()
    try:
        backend.process = subprocess.Popen(
            [sys.executable, "-m", "aeterna", "start", "-c", str(backend.path)],
            cwd=tmp_path,
            env=backend.environ,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
        )
        os.close(writer)
        wait_until(backend._is_ready, "the service is ready")
        os.close(reader)
        pid = backend.service()["pid"]
        get(port, "/flood/1000")
        assert backend.reload()["result"] == "succeeded"
        assert backend.settle()["pid"] != pid
        os.kill(backend.status()["daemon_pid"], signal.SIGKILL)
        wait_until(lambda: _daemon(backend), "a daemon answers")
        assert get(port).split()[1] == "2"
        assert backend.stop() == 0
    finally:
        backend.close()


def _daemon(backend: Backend) -> int:
    try:
        return int(backend.status()["daemon_pid"])
    except OSError:
        return 0
