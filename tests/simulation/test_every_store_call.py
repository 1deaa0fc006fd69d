"""A crash at every single store call of a rich program, before and after its effect."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest

from aeterna.durable.core import codec
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from aeterna.durable.engine.durability import Durability, Level
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.stores.contract import RunQuery
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.limits import Limits
from aeterna.testing.clock import FakeClock
from aeterna.testing.faults import Moment
from tests.simulation.interpreter import perform
from tests.simulation.process import Death, Machine, Process
from tests.simulation.programs import Node, fits
from tests.simulation.world import WatchedStore, World, check_history

PROGRAM: Node = [
    "seq",
    [
        ["step", "step", "a", 5, 0],
        ["all", "parallel", [["step", "flaky", "b", 1, 1], ["seq", [["sleep", 20], ["step", "step", "c", 0, 0]]]]],
        ["child", ["seq", [["step", "step", "d", 1, 0], ["sleep", 30], ["loop", 2, "e", 1]]]],
        ["race", [["step", "step", "f", 3, 0], ["child", ["sleep", 500]], ["sleep", 400]]],
        ["timeout", 10, ["step", "step", "g", 50, 0]],
        ["guard", ["all", "group", [["raise", "h", 2], ["sleep", 300]]]],
        ["step", "pure", "i", 1, 0],
    ],
]
FINAL = {State.COMPLETED, State.FAILED, State.CANCELLED}


class Exhaustive:
    """One program on one store, with one death of the first process."""

    def __init__(self, level: Level, death: Death | None, at_once: float) -> None:
        self.world = World()
        self.store = WatchedStore(MemoryStore(), self.world)
        clock = FakeClock()
        options = EngineOptions(Durability(level, snapshot_steps=2, snapshot_ms=10), Limits(resident_runs_max=2), clock)
        self._machine = Machine(self.store, clock, Random(1), options, 0.0, death, at_once)
        self._survivor = Machine(self.store, clock, Random(2), options)

    def play(self) -> int:
        """Returns how many store calls the first process made."""
        first = Process(self._machine, self.world)
        if not first.run(_scenario):
            assert Process(self._survivor, self.world).run(_scenario)
        asyncio.run(self._check())
        return first.store_calls

    async def _check(self) -> None:
        await self.store.inner.open()
        for row in (await self.store.inner.list_runs(RunQuery(limit=100))).rows:
            assert row.state in FINAL, row
            check_history(row.id, await self.store.inner.history(row.id), row)
        run = fold(await self.store.inner.history("r"))
        assert run.result is not None, run.error
        assert fits(PROGRAM, codec.decode(run.result, list, "result"))


async def _scenario(engine: Engine) -> None:
    await engine.start_run(perform.definition, perform.encode_arguments((PROGRAM,), {}), "r")
    await await_result(OwnWorld(engine), "r", 100)
    while (await engine.store.count_runs()).keys() - FINAL:
        await sleep(0.1)


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("level", [Level.LOG, Level.SNAPSHOT])
@pytest.mark.parametrize("at_once", [0.0, 1.0], ids=["commits wait", "commits at once"])
def test_a_crash_at_any_store_call_loses_nothing(at_once: float, level: Level, moment: Moment) -> None:
    """The run ends, with a result its program can give; at L2 no step runs more often than the crash explains."""
    logging.getLogger("aeterna").setLevel(logging.CRITICAL + 1)
    calls = Exhaustive(level, None, at_once).play()
    assert calls > 20
    for call in range(1, calls + 1):
        case = Exhaustive(level, Death(call, moment), at_once)
        try:
            case.play()
            if level is Level.LOG:
                case.world.check_executions()
        except BaseException as error:
            error.add_note(f"{level.value}: the process died {moment.value} store call {call} of {calls}")
            raise
        assert case.world.crashes == 1, f"the process did not reach call {call}"
