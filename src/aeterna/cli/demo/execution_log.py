"""What really ran: one line when a step's function starts, one when it ends, written by the process that runs it.

The log knows nothing of Aeterna's history; comparing the two is the proof (see ``proof``). Lines are appended
with O_APPEND in one system call each, so that a SIGKILL leaves whole lines only and the order of lines is the
order of writing.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aeterna.kernel.clock import Clock

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Life:
    """One process of the worker; ``number`` counts from 1."""

    number: int
    started_us: int


@dataclass(frozen=True, slots=True)
class Execution:
    """One start of a step's function in one life; ``end_us`` is None when the process was killed before its end."""

    label: str
    life: int
    start_us: int
    end_us: int | None = None


class ExecutionLog:
    """Writes the log; ``clock`` gives the times."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def life_starts(self) -> None:
        """Note that a new process begins. Its parent says so: the process may be killed before it writes a line."""
        self._append({"kind": "life"})

    @contextmanager
    def executing(self, label: str) -> Iterator[None]:
        """Note the start and the end of the execution of step ``label``; an error leaves no end."""
        number = next(_numbers)
        self._append({"kind": "start", "n": number, "step": label, "pid": os.getpid()})
        yield
        self._append({"kind": "end", "n": number, "step": label, "pid": os.getpid()})

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps({**record, "at_us": self._clock.now_us()}) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def read_executions(lines: Sequence[str]) -> tuple[list[Life], list[Execution]]:
    """The lives and executions that a log's lines tell of, in order; raises `ValueError` for an unknown line."""
    lives: list[Life] = []
    executions: dict[tuple[int, int], Execution] = {}
    for line in lines:
        record = json.loads(line)
        match record["kind"]:
            case "life":
                lives.append(Life(len(lives) + 1, record["at_us"]))
            case "start":
                executions[len(lives), record["n"]] = Execution(record["step"], len(lives), record["at_us"])
            case "end":
                begun = executions[len(lives), record["n"]]
                executions[len(lives), record["n"]] = replace(begun, end_us=record["at_us"])
            case kind:
                raise ValueError(f"execution log: unknown kind of line {kind!r}; expected life, start or end")
    return lives, list(executions.values())
