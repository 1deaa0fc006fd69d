"""An engine that is told to stop while runs come into its memory leaves nothing running."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from collections.abc import Coroutine
from typing import Any

import pytest

from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.engine.program import Program
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import AeternaError, StoreFullError
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
        await _start(first, "r", 60_000)
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
        assert not _pending(second)

    _play(main(), loop)


@pytest.mark.parametrize("is_full", [False, True], ids=["a store that works", "a full store"])
@pytest.mark.parametrize("is_at_once", [False, True], ids=["commits wait", "commits at once"])
@pytest.mark.parametrize("turns", range(8))
def test_nobody_waits_for_an_engine_that_has_ended(turns: int, is_at_once: bool, is_full: bool) -> None:
    """Whoever asked before it stopped, however far that had come, and whoever asks after: all get an answer."""
    loop = VirtualLoop(patience_s=0)

    async def main() -> None:
        refusing = False

        def strike(call: StoreCall) -> bool:
            if refusing and call.method.startswith("commit"):
                raise StoreFullError("full for good")
            return is_at_once

        async def gate(call: StoreCall) -> None:
            await sleep(0)
            strike(call)

        engine = await _started(FaultyStore(MemoryStore(), gate, strike), loop)
        await _start(engine, "asked", 60_000)
        refusing = is_full
        asking = [
            asyncio.create_task(await_result(OwnWorld(engine), "asked")),
            asyncio.create_task(_start(engine, "late", 60_000)),
            asyncio.create_task(engine.cancel("asked", "enough")),
            asyncio.create_task(engine.journal.barrier()),
        ]
        for _ in range(turns):
            await sleep(0)
        await engine.stop()
        assert not _pending(engine)
        asking.append(asyncio.create_task(await_result(OwnWorld(engine), "asked")))
        asking.append(asyncio.create_task(engine.journal.barrier()))
        asking.append(asyncio.create_task(_start(engine, "after", 60_000)))
        _, waiting = await asyncio.wait(asking, timeout=1)
        assert not waiting
        assert all(isinstance(task.exception(), AeternaError) for task in asking[4:])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # None is left to be reported as unheard.
        for task in asking:
            task.exception()

    _play(main(), loop)


def test_a_store_that_is_full_for_good_does_not_keep_an_engine_from_ending() -> None:
    """What was recorded and cannot be committed is lost after the grace, as by a crash."""
    loop = VirtualLoop(patience_s=0)

    async def main() -> None:
        refusing = False

        async def gate(call: StoreCall) -> None:
            if refusing and call.method == "commit":
                raise StoreFullError("full for good")

        engine = await _started(FaultyStore(MemoryStore(), gate), loop)
        await _start(engine, "asked", 60_000)
        refusing = True
        runner = engine.residents.get("asked")
        assert runner is not None
        assert runner.cancel("recorded in memory only")
        before = loop.time()
        async with asyncio.timeout(1_000):
            await engine.stop()
        assert loop.time() - before <= engine.options.stop_grace_s
        assert not _pending(engine)

    _play(main(), loop)


def _pending(engine: Engine) -> list[asyncio.Future[Any]]:
    """The futures of the journal and the waiters that nobody will set any more."""
    journal = engine.journal
    handed = [] if journal._handed is None else journal._handed.requests
    futures: list[asyncio.Future[Any]] = [future for _, future in [*journal._requests, *handed]]
    futures += journal._barriers
    for waiting in engine.waiters._futures.values():
        futures += waiting
    return [future for future in futures if not future.done()]


def _play(main: Coroutine[Any, Any, None], loop: VirtualLoop) -> None:
    """Runs it; whatever the loop has to report is an error."""
    problems: list[str] = []
    loop.set_exception_handler(lambda _, context: problems.append(str(context)))
    stage.world = Trace()
    logging.getLogger("aeterna").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        warnings.simplefilter("error")
        runner.run(main)
    gc.collect()
    assert not problems


async def _start(engine: Engine, run_id: str, ms: int) -> bool:
    arguments = perform.encode_arguments((["step", "step", run_id, ms, 0],), {})
    return await engine.start_run(perform.definition, arguments, run_id)


async def _started(store: MemoryStore | FaultyStore, loop: VirtualLoop) -> Engine:
    program = Program()
    program.add(perform.definition)
    engine = Engine(store, program, EngineOptions(clock=loop.clock))
    await engine.start()
    return engine
