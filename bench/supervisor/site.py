"""The place where one system runs: a folder, a port, a release file, and every process it ever started.

All processes inherit a token in their environment. By it they are found and ended, wherever they fled to: nothing is
left behind, and nothing else on the machine is touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import rmtree
from time import monotonic, sleep
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TOKEN = "BENCH_TOKEN"
COMMAND_LIMIT_S = 60.0
NOT_INHERITED = ("AETERNA_", "BENCH_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "GUNICORN_", "UVICORN_", "PM2_")


class SystemFailed(Exception):
    """A measured system did not do what was asked of it; the text says what and ends with its last words."""


class Site:
    """One run of one system. Leaving the ``with`` block ends all its processes and removes the folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
        self.port = _free_port()
        self.token = self.folder.name
        self.release_file = self.folder / "release"
        self.log = self.folder / "output.log"
        self.deploy("1")

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.clean()
        rmtree(self.folder, ignore_errors=True)

    def deploy(self, release: str) -> None:
        """Put a release in place; running processes keep theirs until they are replaced."""
        fresh = self.folder / "release.fresh"
        fresh.write_text(release)
        fresh.rename(self.release_file)

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the site inherits."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        runtime = self.folder / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        return kept | {
            TOKEN: self.token,
            "BENCH_RELEASE_FILE": str(self.release_file),
            "PORT": str(self.port),
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "XDG_RUNTIME_DIR": str(runtime),
            "HOME": str(self.folder),
        }

    def spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        """Start a process that stays; its output goes to the site's log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log, **self._surroundings)

    @property
    def _surroundings(self) -> dict[str, Any]:
        return {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
        }

    def run(self, argv: list[str], limit_s: float = COMMAND_LIMIT_S) -> str:
        """Run a command to its end: its standard output. Raises `SystemFailed` if it does not end well.

        The output goes through a file: a daemon that the command leaves behind may hold on to it.
        """
        with self.log.open("ab") as log, tempfile.TemporaryFile() as output:
            process = subprocess.Popen(argv, stdout=output, stderr=log, **self._surroundings)
            code = self._wait(process, argv, limit_s)
            output.seek(0)
            text = output.read().decode(errors="replace")
            log.write(text.encode())
        if code != 0:
            raise SystemFailed(f"{argv} ended with code {code}\n{self.last_words()}")
        return text

    def _wait(self, process: subprocess.Popen[bytes], argv: list[str], limit_s: float) -> int:
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise SystemFailed(f"{argv} still ran after {limit_s:.0f} s\n{self.last_words()}") from None

    def last_words(self) -> str:
        """The end of the output of all that ran here."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def processes(self) -> list[int]:
        """The pids of everything that carries the token and lives."""
        mark = f"{TOKEN}={self.token}".encode()
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _carries(entry, mark)]

    def clean(self) -> None:
        """SIGKILL to whatever is left, until nothing is."""
        deadline_s = monotonic() + 10
        while left := self.processes():
            for pid in left:
                kill(pid, signal.SIGKILL)
            if monotonic() > deadline_s:
                raise SystemFailed(f"these processes survive SIGKILL: {left}")
            sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _carries(entry: Path, mark: bytes) -> bool:
    try:
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile, or somebody else's
        return False


def kill(pid: int, number: int) -> None:
    """Send an OS signal; a process that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end(process: subprocess.Popen[bytes], limit_s: float = 20.0) -> None:
    """SIGTERM and wait; SIGKILL after the limit."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")) / 1e6
