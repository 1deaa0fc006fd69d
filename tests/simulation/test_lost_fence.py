"""A process that was declared dead and comes back: nothing it writes counts any more."""

from __future__ import annotations

import asyncio
import logging

import pytest

from aeterna import App, Context
from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.engine.program import Program
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import AeternaError
from aeterna.testing.clock import FakeClock
from aeterna.testing.faults import FaultyStore, Moment, StoreCall
from aeterna.testing.virtual_loop import VirtualLoop

app = App("fence", store="memory:")


@app.step
async def part(owner_says: str, number: int) -> int:
    await sleep(1)
    return number


@app.workflow
async def job(ctx: Context) -> list[int]:
    return [await ctx.step(part, "go", number) for number in range(6)]


@app.workflow
async def sleeper(ctx: Context) -> str:
    await ctx.sleep(seconds=20)
    return "slept"


class Paused:
    """Holds a store's commits back while ``is_paused``, as a stopped process does not get to make them."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.running.set()

    async def gate(self, call: StoreCall) -> None:
        if call.moment is Moment.BEFORE and call.method != "close":
            await self.running.wait()


def engine_on(store: FaultyStore, clock: FakeClock) -> Engine:
    program = Program()
    for workflow in app.workflows:
        program.add(workflow.definition)
    return Engine(store, program, EngineOptions(clock=clock))


@pytest.mark.parametrize("pause_s", [0.0, 0.5, 1.0, 2.5, 5.9])
def test_a_paused_process_that_resumes_cannot_write(pause_s: float) -> None:
    """All runs end under the second session, each history has one writer at a time, and the first engine stops
    cleanly."""
    logging.getLogger("aeterna").setLevel(logging.CRITICAL + 1)
    clock = FakeClock()
    loop = VirtualLoop(clock, patience_s=0)

    async def main() -> None:
        inner = MemoryStore()
        paused = Paused()
        first, second = engine_on(FaultyStore(inner, paused.gate), clock), engine_on(FaultyStore(inner), clock)
        await first.start()
        for run_id, workflow in (("job", job), ("sleeper", sleeper)):
            await first.start_run(workflow.definition, workflow.encode_arguments((), {}), run_id)
        await sleep(pause_s)
        paused.running.clear()
        await second.start()
        await sleep(1.5)
        paused.running.set()
        with pytest.raises(AeternaError):
            await first.cancel("job", "a command that came too late")
        assert (await await_result(OwnWorld(second), "job", 60)).state is State.COMPLETED
        assert (await await_result(OwnWorld(second), "sleeper", 60)).state is State.COMPLETED
        await _check(inner)
        # The memory store has one session at a time, so the one that is still open closes last.
        await first.stop()
        await inner.open()
        await second.stop()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


async def _check(store: MemoryStore) -> None:
    for run_id in ("job", "sleeper"):
        history = await store.history(run_id)
        assert fold(history).cancel_reason is None
        sessions = [event.session for event in history if isinstance(event, ev.RunStarted)]
        assert sessions == [1, 2]
        results = [event.result for event in history if isinstance(event, ev.StepCompleted)]
        assert len(results) == len(set(results))
