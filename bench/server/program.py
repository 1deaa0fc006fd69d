"""A process of a benchmark, and the lines of JSON by which it answers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 600.0
END_S = 20.0


class ProgramFailed(Exception):
    """A process ended, or said something else, where an answer was due."""


class Program:
    """A process; leaving the block ends it, by SIGTERM and then by SIGKILL. Its standard error is kept for complaints.

    ``group``: it has children, which end with it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("AETERNA_", "DBOS_", "RESTATE_"))
        }
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._title = " ".join(command[:6])
        self._process = subprocess.Popen(
            command, cwd=ROOT, env={**kept, "PYTHONPATH": f"{ROOT}/src{os.pathsep}{ROOT}", **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._words, text=True, start_new_session=True,
        )  # fmt: skip
        self._watchdog = threading.Timer(LIMIT_S, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        # Whatever it started shares its session, which is also its process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._words.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._process.kill()

    def answer(self) -> dict[str, Any]:
        """The next line."""
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            raise ProgramFailed(f"{self._title} ended with code {self._process.wait()}:\n{self.words()[-3000:]}")
        found: dict[str, Any] = json.loads(text)
        return found

    def words(self) -> str:
        """What it wrote to its standard error so far."""
        self._words.flush()
        return Path(f"/proc/self/fd/{self._words.fileno()}").read_text("utf-8", "replace")

    def has_ended(self) -> bool:
        return self._process.poll() is not None


def python(module: str, order: dict[str, Any]) -> list[str]:
    """The command of a module of ours with its order."""
    return [sys.executable, "-m", module, json.dumps(order)]


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return kilobytes * 1024 / 1e6
