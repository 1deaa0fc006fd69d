"""The parent: starts the worker as a real process, kills it at chosen moments, starts it again until the run is done.

The moments are numbers of recorded steps, drawn from a seeded generator, so that a seed repeats them; which
steps are in flight then is up to the machine. What is recorded is read from the store's file while the worker
writes it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from aeterna.cli.demo import corpus
from aeterna.cli.demo.answer import EXCERPTS_MAX
from aeterna.cli.demo.execution_log import ExecutionLog
from aeterna.cli.demo.history_tail import HistoryTail
from aeterna.cli.demo.places import Places, note_holders
from aeterna.cli.demo.proof import lives_in, recorded_steps
from aeterna.cli.demo.views import KindStatus, LifeStatus, Status, View
from aeterna.durable.core.events import AnyEvent, TimerFired, TimerStarted
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import AeternaError

LOOK_S = 0.02
STALLED_S = 60
KILL_WINDOW = (0.15, 0.85)
KILLS_MAX = 10
LIVES_MAX = 30
ANSWER_STEPS = ("understand", "search", "cite", "verify", "compose")


class WorkerFailedError(AeternaError):
    """The worker process ended by itself with an error, or stopped making progress."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo is to do. ``pace_ms``: mean think time of a step; ``seed`` decides the moments of the ``kills``;
    ``python``: the interpreter of the workers."""

    question: str
    seed: int
    kills: int
    pace_ms: int
    python: str = sys.executable


@dataclass(frozen=True, slots=True)
class LifeProcess:
    """One worker process as its parent saw it; ``ended_us`` and ``exit_code`` are None while it runs.

    ``exit_code`` is negative after an OS signal, as in `subprocess`.
    """

    number: int
    pid: int
    started_us: int
    ended_us: int | None = None
    exit_code: int | None = None

    @property
    def killed_by(self) -> str:
        """The OS signal that ended it (``SIGKILL``), or an empty string."""
        return signal.Signals(-self.exit_code).name if self.exit_code is not None and self.exit_code < 0 else ""

    @property
    def ending(self) -> str:
        """How it ended, in words; empty while it runs."""
        match self.exit_code:
            case None:
                return ""
            case 0:
                return "run completed"
            case _:
                return self.killed_by or f"exit code {self.exit_code}"


def steps_planned() -> dict[str, int]:
    """How many steps of each kind the run will have; ``verify`` has one per citation, so this is its most."""
    topics = len(corpus.topic_names())
    answer = {kind: EXCERPTS_MAX if kind == "verify" else 1 for kind in ANSWER_STEPS}
    return {"plan": 1, "split": topics, "index": topics, **answer}


def choose_kill_points(random: Random, steps: int, kills: int) -> list[int]:
    """For each kill, the number of recorded steps at which it comes: one uniform draw in each of separate windows.

    With two kills the windows are 15 to 45 % and 55 to 85 % of the steps. The points rise strictly.
    """
    if kills == 0:
        return []
    low, high = KILL_WINDOW
    gap = 0.2 / kills if kills > 1 else 0.0
    width = (high - low - gap * (kills - 1)) / kills
    shares = (low + number * (width + gap) + random.random() * width for number in range(kills))
    points: list[int] = []
    for share in shares:
        points.append(max(round(share * steps), points[-1] + 1 if points else 1))
    return points


class Supervisor:
    """Runs the worker through all its lives; `lives` tells of them."""

    def __init__(self, places: Places, options: Options, history: HistoryTail, clock: Clock, view: View) -> None:
        self._places = places
        self._options = options
        self._history = history
        self._clock = clock
        self._view = view
        self._planned = steps_planned()
        self._started_us = clock.monotonic_us()
        self.lives: list[LifeProcess] = []

    async def run(self, lock: int) -> None:
        """Bring the job to its end, killing its process on the way; every worker keeps the descriptor ``lock`` open.

        A worker that somebody else kills is started again just so. Raises `WorkerFailedError` when a worker ends by
        itself with an error, or records nothing for a minute. Whatever ends this method, no worker is left behind.
        """
        points = choose_kill_points(Random(self._options.seed), sum(self._planned.values()), self._options.kills)
        while not self.lives or self.lives[-1].exit_code != 0:
            if len(self.lives) == LIVES_MAX:
                raise WorkerFailedError(f"the worker was killed {LIVES_MAX} times; see {self._places.worker_log}")
            async with self._worker(lock) as worker:
                await self._watch(worker, points)

    @asynccontextmanager
    async def _worker(self, lock: int) -> AsyncIterator[Process]:
        ExecutionLog(self._places.executions, self._clock).life_starts()
        started_us = self._clock.now_us()
        with self._places.worker_log.open("ab") as log:
            worker = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "AETERNA_STORE": f"sqlite:///{self._places.store}"},
                pass_fds=(lock,),
                start_new_session=True,
            )
        note_holders(lock, os.getpid(), worker.pid)
        self.lives.append(LifeProcess(len(self.lives) + 1, worker.pid, started_us))
        try:
            yield worker
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()

    def _command(self) -> list[str]:
        arguments = ["--dir", str(self._places.directory), "--question", self._options.question]
        return [
            self._options.python,
            "-m",
            "aeterna.cli.demo.worker",
            *arguments,
            "--pace-ms",
            str(self._options.pace_ms),
        ]

    async def _watch(self, worker: Process, points: list[int]) -> None:
        """Look on until the worker ends; when the first of ``points`` has come, take it off and kill the worker.

        A worker is not killed before it has recorded a step of its own.
        """
        earlier = len(recorded_steps(await self._history.look()))
        progress, progress_us = 0, self._clock.monotonic_us()
        while not await _has_ended(worker, LOOK_S):
            history = await self._history.look()
            if points and len(recorded_steps(history)) >= max(points[0], earlier + 1):
                points.pop(0)
                worker.kill()
                await worker.wait()
                break
            if len(history) > progress:
                progress, progress_us = len(history), self._clock.monotonic_us()
            if self._clock.monotonic_us() - progress_us > STALLED_S * 1_000_000:
                raise WorkerFailedError(f"the worker recorded nothing for {STALLED_S} s; see {self._places.worker_log}")
            self._view.show(self.status(history))
        ended = replace(self.lives[-1], ended_us=self._clock.now_us(), exit_code=worker.returncode)
        self.lives[-1] = ended
        self._view.show(self.status(await self._history.look()))
        if not ended.killed_by and ended.exit_code != 0:
            tail = "\n".join(_last_lines(self._places.worker_log, 15))
            raise WorkerFailedError(f"worker process {ended.pid} ended by itself with {ended.ending}:\n{tail}")

    def status(self, history: Sequence[AnyEvent]) -> Status:
        """What a view shows of ``history`` and the processes so far."""
        steps = recorded_steps(history)
        is_done = bool(self.lives) and self.lives[-1].exit_code == 0
        return Status(
            seconds=(self._clock.monotonic_us() - self._started_us) / 1e6,
            recorded=len(steps),
            planned=len(steps) if is_done else max(sum(self._planned.values()), len(steps)),
            latest=steps[-1].label if steps else "",
            lives=[self._life_status(life, [step.life for step in steps], lives_in(history)) for life in self.lives],
            sleeping_s=sleeping_s(history),
            kinds=self._kinds(Counter((step.label.split()[0], step.life) for step in steps)),
        )

    def _kinds(self, counts: Counter[tuple[str, int]]) -> list[KindStatus]:
        numbers = [life.number for life in self.lives]
        return [
            KindStatus(kind, planned, [counts[kind, number] for number in numbers])
            for kind, planned in self._planned.items()
        ]

    def _life_status(self, life: LifeProcess, step_lives: Sequence[int], taken_by: int) -> LifeStatus:
        replayed = sum(step_life < life.number for step_life in step_lives) if taken_by >= life.number else 0
        executed = step_lives.count(life.number)
        return LifeStatus(life.number, life.pid, replayed, executed, life.ending)


def sleeping_s(history: Sequence[AnyEvent]) -> float | None:
    """How long the durable timer is that the run waits for; None if it waits for none."""
    for event in reversed(history):
        if isinstance(event, TimerFired):
            return None
        if isinstance(event, TimerStarted):
            return (event.due_us - event.at_us) / 1e6
    return None


async def _has_ended(worker: Process, patience_s: float) -> bool:
    try:
        await asyncio.wait_for(worker.wait(), patience_s)
    except TimeoutError:
        return False
    return True


def _last_lines(path: Path, count: int) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
