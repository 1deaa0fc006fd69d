"""A store that is full for a few calls, at every call of a rich program, and then works again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from random import Random
from typing import Any

import pytest

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.durable.engine.durability import Durability, Level
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.stores.contract import RunQuery
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import InvalidStateError
from aeterna.kernel.limits import Limits
from aeterna.testing.clock import FakeClock
from tests.simulation.interpreter import perform
from tests.simulation.patience import patiently
from tests.simulation.process import Machine, Process, Trouble
from tests.simulation.programs import Node, fits
from tests.simulation.world import Violation, WatchedStore, World

PROGRAM: Node = [
    "seq",
    [
        ["all", "parallel", [["step", "flaky", "b", 1, 1], ["seq", [["sleep", 20], ["step", "step", "c", 0, 0]]]]],
        ["child", ["seq", [["step", "step", "d", 1, 0], ["sleep", 30], ["loop", 2, "e", 1]]]],
        ["race", [["step", "step", "f", 3, 0], ["child", ["sleep", 500]], ["sleep", 400]]],
        ["cleanup", 10, "g", ["step", "step", "h", 50, 0]],
        ["leave", "forgotten", 5, ["sleep", 300]],
        ["sleep", 200],
    ],
]
FIRST: Node = ["seq", [["step", "step", "k", 5, 0], ["child", ["sleep", 100_000]]]]
CANCELLED: Node = ["child", ["seq", [["step", "step", "l", 5, 0], ["sleep", 100_000]]]]
QUEUED: Node = ["sleep", 10]
RETENTION_US = 1_000_000
METHODS = {"commit", "claim", "claim_run", "next_wake", "history", "get_run", "delete_finished", "close_session"}


class Case:
    """Two processes on one store, one after the other, with trouble in one of them."""

    def __init__(self, level: Level, at_once: float) -> None:
        self.world = World()
        self.store = WatchedStore(MemoryStore(), self.world)
        self._clock = FakeClock()
        limits = Limits(resident_runs_max=2, running_runs_max=1)
        durability = Durability(level, snapshot_steps=2, snapshot_ms=10)
        self._options = EngineOptions(durability, limits, self._clock, RETENTION_US, retention_check_s=0.2)
        self._at_once = at_once

    def process(self, trouble: Trouble | None) -> Process:
        troubles = () if trouble is None else (trouble,)
        machine = Machine(self.store, self._clock, Random(1), self._options, at_once=self._at_once, troubles=troubles)
        return Process(machine, self.world)

    def play(self, first: Trouble | None, second: Trouble | None) -> tuple[Process, Process]:
        processes = self.process(first), self.process(second)
        assert processes[0].run(begin)
        assert processes[1].run(end)
        asyncio.run(self._check())
        return processes

    async def _check(self) -> None:
        await self.store.inner.open()
        rows = (await self.store.inner.list_runs(RunQuery(limit=100))).rows
        assert not rows, f"these were to be deleted: {rows}"


async def begin(engine: Engine) -> None:
    """Leaves a run behind in the middle of its work."""
    arguments = perform.encode_arguments((FIRST,), {})
    await patiently(lambda: engine.start_run(perform.definition, arguments, "left"))
    await sleep(0.1)


async def end(engine: Engine) -> None:
    """Everything ends, as it should, and is deleted after its time."""
    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        group.create_task(_play(engine, "rich", PROGRAM))
        group.create_task(_play(engine, "queued", QUEUED))
        group.create_task(_play(engine, "cancelled", CANCELLED, cancel_after_s=0.05))
        group.create_task(_play(engine, "queued and cancelled", QUEUED, cancel_after_s=0.0))
        group.create_task(_play(engine, "left", FIRST, cancel_after_s=0.5))
    async with asyncio.timeout(300):
        while await engine.store.count_runs():
            await sleep(0.1)


async def _play(engine: Engine, run_id: str, program: Node, cancel_after_s: float | None = None) -> None:
    arguments = perform.encode_arguments((program,), {})
    await patiently(lambda: engine.start_run(perform.definition, arguments, run_id))
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(patiently(lambda: await_result(OwnWorld(engine), run_id)))
        if cancel_after_s is not None:
            group.create_task(_cancel(engine, run_id, cancel_after_s))
    run = ended.result()
    if cancel_after_s is not None:
        assert run.cancel_reason is not None or fits(program, _value(run.result))
    elif not fits(program, _value(run.result)):
        raise Violation(f"{run_id} gave {run.result}, {run.error}")


async def _cancel(engine: Engine, run_id: str, after_s: float) -> None:
    await sleep(after_s)
    try:
        await patiently(lambda: engine.cancel(run_id, "enough"))
    except InvalidStateError:
        return


def _value(result: Payload | None) -> Any:
    return None if result is None else codec.decode(result, Any, "result")


@pytest.mark.parametrize(
    ("level", "at_once", "count"),
    [
        *[(Level.LOG, at_once, count) for at_once in (0.0, 1.0) for count in (1, 2, 3)],
        *[(Level.SNAPSHOT, 1.0, count) for count in (1, 3)],
    ],
)
def test_a_store_that_is_full_for_some_calls_costs_time_and_nothing_else(
    level: Level, at_once: float, count: int
) -> None:
    """Wherever it is refused: every run ends right and hears of it, no finished step runs twice, old runs go."""
    logging.getLogger("aeterna").setLevel(logging.CRITICAL + 1)
    calls = [process.store_calls for process in Case(level, at_once).play(None, None)]
    refused: Counter[str] = Counter()
    for number, last in enumerate(calls):
        for first in range(1, last + 1):
            troubles: list[Trouble | None] = [None, None]
            troubles[number] = Trouble(first, count)
            case = Case(level, at_once)
            try:
                processes = case.play(*troubles)
                if level is Level.LOG:
                    case.world.check_executions()
            except BaseException as error:
                error.add_note(f"{level.value}: process {number + 1} was refused {count} calls from {first} of {last}")
                raise
            refused.update(processes[number].refused)
    expected = METHODS | ({"commit_at_once"} if at_once else set())
    if at_once and count == 1:
        expected -= {"commit"}
    assert expected <= refused.keys(), f"never refused: {expected - refused.keys()}"
