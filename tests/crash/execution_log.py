"""What the workers of these tests really did: one line per start and end of a step, and per mark of workflow code.

Written with O_APPEND in one system call per line, so that a SIGKILL leaves whole lines in the order of writing. The log
knows nothing of histories; comparing the two is the proof.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aeterna.testing.crash import kill_process

START = "start"
END = "end"
MARK = "mark"


@dataclass(frozen=True, slots=True)
class Line:
    """``kind``: START, END or MARK; ``step``: the step's name, unique in its run, or the mark's."""

    kind: str
    pid: int
    run_id: str
    step: str


class ExecutionLog:
    """The log of one directory, shared by all processes that work in it.

    ``echo``: each line goes to the standard output as well, after the file, for whoever wants to wait for it.
    ``die_in``: the process ends by SIGKILL inside of the first step of that name.
    """

    def __init__(self, path: Path, *, echo: bool = False, die_in: str = "") -> None:
        self.path = path
        self._echo = echo
        self._die_in = die_in

    @contextmanager
    def executing(self, run_id: str, step: str) -> Iterator[None]:
        """Note the start and, unless it raises or the process dies, the end of a step."""
        self._append(START, run_id, step)
        if step == self._die_in:
            kill_process()
        yield
        self._append(END, run_id, step)

    def mark(self, run_id: str, name: str) -> None:
        """Note that code came to a place."""
        self._append(MARK, run_id, name)

    def lines(self) -> list[Line]:
        """Everything noted so far, in order; empty without a file."""
        if not self.path.exists():
            return []
        fields = (line.split("\t") for line in self.path.read_text().splitlines())
        return [Line(kind, int(pid), run_id, step) for kind, pid, run_id, step in fields]

    def count(self, kind: str, step: str, run_id: str | None = None) -> int:
        """How many lines of that kind there are for ``step``, of one run or of all."""
        return sum(line.kind == kind and line.step == step and run_id in (None, line.run_id) for line in self.lines())

    def _append(self, kind: str, run_id: str, step: str) -> None:
        line = f"{kind}\t{os.getpid()}\t{run_id}\t{step}\n".encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
        if self._echo:
            os.write(1, line)
