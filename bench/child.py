"""The parent's side of a child process: start it, read its lines, kill it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from bench.child_main import Order

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 180.0
"""No child may take longer: a hang ends as a failure that names the workload."""


class System(Enum):
    """A measured system; the value is the module that runs it in a child process."""

    AETERNA = "bench.aeterna_side"
    DBOS = "bench.dbos_side"


class ChildFailed(Exception):
    """A child process ended without the line that was waited for."""


class Child:
    """One fresh process with one order. Leaving the ``with`` block kills it if it still runs."""

    def __init__(self, system: System, order: Order) -> None:
        self._order = order
        self._system = system
        self.spawned_s = monotonic()
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("AETERNA_", "DBOS_"))}
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", system.value, json.dumps(asdict(order))],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )
        self._watchdog = threading.Timer(LIMIT_S, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._complaints.close()

    @property
    def pid(self) -> int:
        """The operating system's number for it."""
        return self._process.pid

    def ended(self) -> bool:
        """Whether it is gone already."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def wait_event(self, name: str) -> dict[str, Any]:
        """The next line if it is this event; `ChildFailed` with the child's last words otherwise."""
        line = self._next_line()
        if line.get("event") != name:
            raise ChildFailed(f"{self._title()} answered {line} where the event {name!r} was due")
        return line

    def wait_result(self) -> dict[str, Any]:
        """The result line; `ChildFailed` with the child's last words if none comes."""
        line = self._next_line()
        if "result" not in line:
            raise ChildFailed(f"{self._title()} answered {line} where its result was due")
        result: dict[str, Any] = line["result"]
        return result

    def _next_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None, "opened as a pipe"
        text = self._process.stdout.readline()
        if not text:
            code = self._process.wait()
            self._complaints.seek(0)
            complaint = self._complaints.read()[-3000:]
            after_s = monotonic() - self.spawned_s
            raise ChildFailed(f"{self._title()} ended with code {code} after {after_s:.0f} s:\n{complaint}")
        line: dict[str, Any] = json.loads(text)
        return line

    def _title(self) -> str:
        return f"{self._system.value} ({self._order.workload})"
