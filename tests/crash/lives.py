"""Starts the program that gets killed, life after life, and keeps what each left behind."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tests.crash.checker import Life, check_lives, read_store
from tests.crash.execution_log import ExecutionLog
from tests.crash.job import Job

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.crash.worker"]
NURSERIES = 2

Case = TypeVar("Case")


class Nursery:
    """A process that forks a process for each life (see `worker.serve`)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._asking = threading.Lock()

    def live(self, job: Job) -> tuple[int, int]:
        """The pid and the return code of one life, negative for an OS signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(job.encode() + "\n")
            self._process.stdin.flush()
            pid, returncode = self._process.stdout.readline().split()
        return int(pid), int(returncode)


@contextmanager
def nursery() -> Iterator[Nursery]:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class Story:
    """The lives of one program in one directory, one after the other."""

    nursery: Nursery
    job: Job
    lives: list[Life] = field(default_factory=list)

    def live(self, kill_number: int = 0, **changes: Any) -> Life:
        """One more life, killed at that point, or to the end."""
        output = f"output-{len(self.lives) + 1}"
        job = replace(self.job, output=output, kill_number=kill_number, **changes)
        pid, returncode = self.nursery.live(job)
        said = (Path(job.directory) / output).read_text().splitlines()
        told = tuple(line for line in said if not line.startswith("counted"))
        self.lives.append(Life(pid, returncode, told, read_store(job.store)))
        return self.lives[-1]

    def live_to_the_kill(self, number: int) -> bool:
        """A life that is killed at that write. False if it ended before, because it happened to take fewer: how many
        events share a commit is a matter of timing."""
        life = self.live(number)
        if life.returncode == 0:
            _, writes = self.counted()
            assert writes < number, f"the life outlived write {number} of {writes}"
            return False
        assert life.returncode == -signal.SIGKILL
        return True

    def told_through_a_kill(self, number: int) -> None:
        """A life that is killed at that write, one that ends by itself, and all rules of the checker."""
        self.live_to_the_kill(number)
        assert self.live().returncode == 0, "the life after the kill did not end by itself"
        self.check()

    def counted(self) -> tuple[int, int]:
        """How many commits and writes the last life took, as it said at its end."""
        said = (Path(self.job.directory) / f"output-{len(self.lives)}").read_text().splitlines()
        _, commits, writes = said[-1].split()
        return int(commits), int(writes)

    def result(self, run_id: str) -> str:
        """The result that the last life told of a run, as JSON."""
        [line] = [line for line in self.lives[-1].acknowledged if line.startswith(f"result {run_id} ")]
        return line.split(" ", 2)[2]

    def lasting(self, run_id: str) -> dict[str, object]:
        """The parts of a result that must be the same in every telling: all but the times."""
        return {name: value for name, value in json.loads(self.result(run_id)).items() if name != "times"}

    def check(self) -> None:
        """All rules of the checker."""
        check_lives(self.lives, ExecutionLog(self.job.log).lines())


def for_all(cases: Iterable[Case], tell: Callable[[Nursery, Case], None]) -> None:
    """Tell the story of every case, several at a time; the first failure is raised, with the case in a note."""
    free: queue.SimpleQueue[Nursery] = queue.SimpleQueue()

    def tell_one(case: Case) -> None:
        chosen = free.get()
        try:
            tell(chosen, case)
        except BaseException as error:
            error.add_note(f"in the case {case}")
            raise
        finally:
            free.put(chosen)

    with ExitStack() as stack:
        for _ in range(NURSERIES):
            free.put(stack.enter_context(nursery()))
        pool = stack.enter_context(ThreadPoolExecutor(NURSERIES))
        for done in [pool.submit(tell_one, case) for case in cases]:
            done.result()
