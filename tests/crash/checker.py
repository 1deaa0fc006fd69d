"""Holds what several lives of a program did against what their store says: the rules that no kill may break.

A *life* is one process. After each, a copy of the store is read; the execution log tells what really ran. Each rule
raises `AssertionError` with the run and step it is about.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.fold import fold
from aeterna.durable.stores.contract import RunQuery, RunRow
from aeterna.durable.stores.sqlite.reader import SqliteReader
from tests.crash.execution_log import START, Line

StepId = tuple[str, str]
"""Run id and the step's name, which is unique in its run."""

OUTCOMES = (ev.StepCompleted, ev.StepFailed, ev.StepRetrying)
ENDS = (ev.StepCompleted, ev.StepFailed, ev.TimerFired, ev.ChildCompleted, ev.ChildFailed)
FINALS = (ev.RunCompleted, ev.RunFailed, ev.RunCancelled)


@dataclass(frozen=True, slots=True)
class StoreView:
    """What a store holds, by run id."""

    rows: dict[str, RunRow]
    histories: dict[str, list[AnyEvent]]


EMPTY = StoreView({}, {})


@dataclass(frozen=True, slots=True)
class Life:
    """One process: how it ended, what it acknowledged on its standard output, and what the store held afterwards."""

    pid: int
    returncode: int
    acknowledged: tuple[str, ...]
    left: StoreView

    @property
    def was_killed(self) -> bool:
        return self.returncode != 0


def read_store(path: Path) -> StoreView:
    """All that is in the store at ``path``, read from a copy: the next life shall recover the log itself."""
    if not path.exists():
        return EMPTY
    copy = path.with_name("copy-" + path.name)
    shutil.copy(path, copy)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        shutil.copy(log, copy.with_name(copy.name + "-wal"))
    view = asyncio.run(_read(copy))
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    return view


async def _read(path: Path) -> StoreView:
    reader = SqliteReader(path)
    await reader.open()
    try:
        rows = {row.id: row for row in (await reader.list_runs(RunQuery(limit=10_000))).rows}
        return StoreView(rows, {run_id: await reader.history(run_id) for run_id in rows})
    finally:
        await reader.close()


def check_lives(lives: Sequence[Life], lines: Sequence[Line]) -> None:
    """All rules for a program that was killed any number of times and whose last life ended by itself."""
    check_committed_is_kept(lives)
    check_executions(lives, lines)
    check_acknowledged(lives)
    check_finished(lives[-1].left)


def check_committed_is_kept(lives: Sequence[Life]) -> None:
    """Histories only grow: what was committed in one life is there, at the same place, after every later one."""
    for before, after in pairwise(lives):
        for run_id, history in before.left.histories.items():
            later = after.left.histories.get(run_id, [])
            assert later[: len(history)] == history, f"run {run_id} lost or changed committed events"


def check_executions(lives: Sequence[Life], lines: Sequence[Line]) -> None:
    """Per life and step: as many executions as outcomes were committed, and at most one more if the life was killed.

    So a step whose completion is committed never executes again, executions are at most 1 (plus the recorded retries)
    plus the kills that hit it in flight, and no outcome is made up without an execution.
    """
    known = EMPTY
    for number, life in enumerate(lives, 1):
        starts = Counter((line.run_id, line.step) for line in lines if line.kind == START and line.pid == life.pid)
        gained = outcomes(life.left) - outcomes(known)
        ended = completed(known)
        for step in starts.keys() | gained.keys():
            what = f"life {number}, {step}: {starts[step]} executions, {gained[step]} outcomes committed"
            assert step not in ended, f"{what}, but it had completed before"
            assert 0 <= starts[step] - gained[step] <= life.was_killed, what
        known = life.left


def check_acknowledged(lives: Sequence[Life]) -> None:
    """What a process said is true for ever: ``started ID`` means that the run exists, ``result ID ...`` that it has
    ended, and all lives tell the same result."""
    told: dict[str, str] = {}
    for life in lives:
        for line in life.acknowledged:
            verb, run_id, *rest = line.split(" ", 2)
            assert run_id in life.left.rows, f"{line!r} was acknowledged, but the run is not in the store"
            if verb == "result":
                assert life.left.rows[run_id].state.is_final, f"{line!r} was acknowledged, but the run has not ended"
                assert told.setdefault(run_id, rest[0]) == rest[0], f"run {run_id} told two different results"


def check_finished(view: StoreView) -> None:
    """Every run has ended once, its row agrees with its history, and nothing in it ended twice."""
    for run_id, history in view.histories.items():
        row, run = view.rows[run_id], fold(history)
        assert row.state.is_final, f"run {run_id} is {row.state} ({row.detail}) {row.note}"
        assert (row.state, row.length) == (run.state, len(history)), f"run {run_id}: its row and its history disagree"
        assert isinstance(history[-1], FINALS), f"run {run_id} ends with {history[-1]}"
        assert sum(isinstance(event, FINALS) for event in history) == 1, f"run {run_id} ended more than once"
        assert not run.timers, f"run {run_id} left timers behind"
        assert not run.children, f"run {run_id} left children behind"
        twice = [key for key, count in Counter(_ends(history)).items() if count > 1]
        assert not twice, f"run {run_id}: ended more than once: {twice}"


def executed_again(lines: Iterable[Line]) -> set[StepId]:
    """The steps that executed in more than one process."""
    seen = {(line.run_id, line.step, line.pid) for line in lines if line.kind == START}
    processes = Counter((run_id, step) for run_id, step, _ in seen)
    return {step for step, count in processes.items() if count > 1}


def outcomes(view: StoreView) -> Counter[StepId]:
    """How many outcomes of attempts are recorded per step."""
    return Counter(_steps(view, OUTCOMES))


def completed(view: StoreView) -> set[StepId]:
    """The steps that will never be tried again."""
    return set(_steps(view, (ev.StepCompleted, ev.StepFailed)))


def _steps(view: StoreView, kinds: tuple[type[ev.KeyedEvent], ...]) -> Iterable[StepId]:
    for run_id, history in view.histories.items():
        for event in history:
            if isinstance(event, kinds):
                yield run_id, event.name


def _ends(history: Iterable[AnyEvent]) -> Iterable[tuple[str, str, str, int]]:
    for event in history:
        if isinstance(event, ENDS):
            kind = "timer" if isinstance(event, ev.TimerFired) else "step or child"
            yield kind, event.path, event.name, event.occurrence
