"""A worker as a program of its own, watched through its standard output and sent OS signals from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.crash.checker import Life, read_store
from tests.crash.job import Job
from tests.crash.lives import COMMAND, ROOT


@dataclass(slots=True)
class Watched:
    """A running worker and the lines it has written so far.

    Lines of the execution log hold tabs, the others are what it acknowledged.
    """

    process: subprocess.Popen[str]
    job: Job
    lines: list[str] = field(default_factory=list)

    def wait_lines(self, count: int) -> bool:
        """Until so many more lines have come; False if it ended before."""
        return all(self._read() is not None for _ in range(count))

    def wait_line(self, fits: Callable[[str], bool]) -> str:
        """Until a line fits, and that line; the worker's own alarm is the deadline."""
        while (line := self._read()) is not None:
            if fits(line):
                return line
        raise AssertionError(f"the worker ended before; its last lines were {self.lines[-5:]}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> Life:
        """Read to the end, wait for the process, and look into the store."""
        while self._read() is not None:
            pass
        returncode = self.process.wait()
        acknowledged = tuple(line for line in self.lines if "\t" not in line and not line.startswith("counted"))
        return Life(self.process.pid, returncode, acknowledged, read_store(self.job.store))

    def errors(self) -> str:
        """What the ended worker wrote to its standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def _read(self) -> str | None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith("\n"):
            return None
        self.lines.append(line.rstrip("\n"))
        return self.lines[-1]


@contextmanager
def watched(job: Job, command: list[str] = COMMAND, stderr: int | None = None) -> Iterator[Watched]:
    """Start a worker; whatever happens, it is gone afterwards. ``stderr``: PIPE to read it with `Watched.errors`."""
    arguments = [*command, job.encode()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT) as process:
        try:
            yield Watched(process, job)
        finally:
            process.kill()
