"""An engine that is told to stop while runs come into its memory leaves nothing running."""

from __future__ import annotations

import asyncio
import warnings

import pytest

from aeterna.durable.engine.engine import Engine, EngineOptions
from aeterna.durable.engine.program import Program
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.testing.faults import FaultyStore, Moment, StoreCall
from aeterna.testing.virtual_loop import VirtualLoop
from tests.concurrency.trees import Trace
from tests.simulation.interpreter import perform, stage


@pytest.mark.parametrize("turns", range(12))
def test_a_run_that_is_being_loaded_while_the_engine_stops_stays_out(turns: int) -> None:
    """Whatever number of loop passes after the history was read: no step begins that nobody would record."""
    loop = VirtualLoop(patience_s=0)

    async def main() -> None:
        inner = MemoryStore()
        first = await _started(inner, loop)
        arguments = perform.encode_arguments((["step", "step", "a", 60_000, 0],), {})
        await first.start_run(perform.definition, arguments, "r")
        await first.stop()
        read = asyncio.Event()

        async def gate(call: StoreCall) -> None:
            if call.method == "history" and call.moment is Moment.AFTER:
                read.set()

        second = await _started(FaultyStore(inner, gate), loop)
        await read.wait()
        for _ in range(turns):
            await sleep(0)
        before = loop.time()
        await second.stop()
        assert loop.time() == before, "stopping waited for a step"
        assert asyncio.all_tasks() == {asyncio.current_task()}

    stage.world = Trace()
    with warnings.catch_warnings(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        warnings.simplefilter("error")
        runner.run(main())


async def _started(store: MemoryStore | FaultyStore, loop: VirtualLoop) -> Engine:
    program = Program()
    program.add(perform.definition)
    engine = Engine(store, program, EngineOptions(clock=loop.clock))
    await engine.start()
    return engine
