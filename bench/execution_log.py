"""Which step executions really happened, as the operating system saw them.

One line per fact, written with a single O_APPEND write, so that a process killed at any moment leaves whole lines only.
The log knows nothing of any engine: it is the witness that both are judged by.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

STARTED = "started"
FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Line:
    """One execution of a step began or ended: which process, run and step, and when (nanoseconds, CLOCK_MONOTONIC)."""

    pid: int
    run: str
    index: int
    what: str
    at_ns: int


class ExecutionLog:
    """Appends lines to a file that several processes may share."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._pid = os.getpid()

    def write(self, run: str, index: int, what: str) -> None:
        """Record that step ``index`` of ``run`` has ``started`` or ``finished`` in this process."""
        os.write(self._descriptor, f"{self._pid} {run} {index} {what} {time.monotonic_ns()}\n".encode())


def read(path: Path) -> list[Line]:
    """All lines written so far, oldest first; empty when nobody wrote yet."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text().splitlines():
        pid, run, index, what, at_ns = text.split(" ")
        lines.append(Line(int(pid), run, int(index), what, int(at_ns)))
    return lines


def count_finished(path: Path) -> int:
    """How many executions have ended so far; cheap enough to ask every few milliseconds."""
    return path.read_bytes().count(b" " + FINISHED.encode() + b" ") if path.exists() else 0
