"""One seed: some runs, some processes that die, and what must be true in the end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from random import Random
from typing import Any

from aeterna.durable.core import codec
from aeterna.durable.core.codec import as_text
from aeterna.durable.core.fold import fold
from aeterna.durable.core.segment import encode_segment
from aeterna.durable.core.states import State
from aeterna.durable.engine.durability import Durability, Level
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.stores.contract import RunQuery, Store
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import InvalidStateError, RunNotFoundError
from aeterna.kernel.limits import Limits
from aeterna.testing.clock import FakeClock
from aeterna.testing.faults import Moment
from tests.simulation.interpreter import perform
from tests.simulation.patience import patiently
from tests.simulation.process import Death, Machine, Process, Trouble
from tests.simulation.programs import Generator, Node, fits
from tests.simulation.world import Violation, WatchedStore, World, check_history

VIRTUAL_S_MAX = 3_000.0


@dataclass(slots=True)
class Plan:
    """One run that is to be started: when (seconds after each process's start), and when it is cancelled, if ever."""

    run_id: str
    program: Node
    start_s: float
    cancel_s: float | None
    is_start_acknowledged: bool = False
    is_cancel_acknowledged: bool = False
    acknowledged_result: str | None = None


class History:
    """What happens in one seed. ``file_store``: a store whose file each process opens anew; None = one in memory."""

    def __init__(self, seed: int, file_store: Store | None = None) -> None:
        self.rng = rng = Random(f"history {seed}")
        self.plans = [self._plan(index) for index in range(rng.choice((1, 1, 2, 3)))]
        level = Level.SNAPSHOT if rng.random() < 0.15 else Level.LOG
        self.world = World()
        self._has_file = file_store is not None
        self.store = WatchedStore(file_store or MemoryStore(), self.world)
        self.clock = FakeClock()
        limits = Limits(resident_runs_max=rng.choice((1, 2, 10)), running_runs_max=rng.choice((1, 2, 10)))
        durability = Durability(level, snapshot_steps=rng.choice((1, 3, 100)), snapshot_ms=rng.choice((5, 100)))
        self.options = EngineOptions(durability, limits, self.clock)
        self.latency_s_max = rng.choice((0.0, 0.001, 0.02, 0.3))
        self.at_once = rng.choice((0.0, 0.5, 1.0))
        self.is_troubled = rng.random() < 0.4

    def _plan(self, index: int) -> Plan:
        rng = self.rng
        program = Generator(rng, f"r{index}s").node(rng.choice((1, 2, 3, 3, 4)))
        cancel_s = rng.random() * rng.choice((0.05, 0.5, 4.0)) if rng.random() < 0.25 else None
        return Plan(f"run-{index}", program, rng.choice((0.0, 0.0, rng.random())), cancel_s)

    def play(self) -> None:
        """Processes die one after the other; the last one lives and everything must end."""
        for _ in range(self.rng.choice((0, 1, 2, 3, 3))):
            if self._process(self._death()).run(self._scenario):
                break
            self.clock.advance(self.rng.choice((0, 1_000, 5_000_000)))
            if self._has_file:
                asyncio.run(self.store.inner.close())
        self._process(None).run(self._scenario)
        asyncio.run(self._check())

    def _death(self) -> Death:
        rng = self.rng
        if rng.random() < 0.5:
            return Death(after_s=rng.random() * rng.choice((0.01, 0.3, 3.0)), is_graceful=rng.random() < 0.4)
        return Death(rng.randrange(1, rng.choice((6, 15, 40))), rng.choice((Moment.BEFORE, Moment.AFTER)))

    def _process(self, death: Death | None) -> Process:
        troubles = self._troubles() if self.is_troubled else ()
        machine = Machine(
            self.store, self.clock, self.rng, self.options, self.latency_s_max, death, self.at_once, troubles
        )
        return Process(machine, self.world)

    def _troubles(self) -> tuple[Trouble, ...]:
        rng = self.rng
        return tuple(Trouble(rng.randrange(3, rng.choice((8, 20, 60))), rng.randrange(1, 4)) for _ in range(2))

    async def _scenario(self, engine: Engine) -> None:
        try:
            async with asyncio.timeout(VIRTUAL_S_MAX), asyncio.TaskGroup() as group:
                for plan in self.plans:
                    group.create_task(self._drive(engine, plan))
        except TimeoutError:
            raise Violation(await self._unfinished(engine)) from None
        # Children that were given up end by themselves.
        for _ in range(100):
            if not (await engine.store.count_runs()).keys() - _FINAL:
                return
            await sleep(0.5)
        raise Violation(await self._unfinished(engine))

    async def _unfinished(self, engine: Engine) -> str:
        rows = (await engine.store.list_runs(RunQuery(states=(State.PENDING, State.RUNNING), limit=1000))).rows
        return "\n".join(["these runs do not end:", *[f"{row} resident: {engine.is_resident(row.id)}" for row in rows]])

    async def _drive(self, engine: Engine, plan: Plan) -> None:
        await sleep(plan.start_s)
        arguments = perform.encode_arguments((plan.program,), {})
        created = await patiently(lambda: engine.start_run(perform.definition, arguments, plan.run_id))
        if created and plan.is_start_acknowledged:
            raise Violation(f"{plan.run_id} was acknowledged and is gone")
        plan.is_start_acknowledged = True
        async with asyncio.TaskGroup() as group:
            if plan.cancel_s is not None and not plan.is_cancel_acknowledged:
                group.create_task(self._cancel(engine, plan, plan.cancel_s))
            group.create_task(self._await(engine, plan))

    async def _cancel(self, engine: Engine, plan: Plan, after_s: float) -> None:
        await sleep(after_s)
        try:
            # False: somebody asked before, or the run ended in the same moment.
            if await patiently(lambda: engine.cancel(plan.run_id, "the plan says so")):
                plan.is_cancel_acknowledged = True
        except InvalidStateError:
            return

    async def _await(self, engine: Engine, plan: Plan) -> None:
        try:
            run = await patiently(lambda: await_result(OwnWorld(engine), plan.run_id))
        except RunNotFoundError:
            raise Violation(f"{plan.run_id} was acknowledged and is gone") from None
        outcome = f"{run.state} {None if run.result is None else as_text(run.result)}"
        if plan.acknowledged_result not in (None, outcome):
            raise Violation(f"{plan.run_id} ended twice: {plan.acknowledged_result}, then {outcome}")
        plan.acknowledged_result = outcome

    async def _check(self) -> None:
        store = self.store
        await store.inner.open()
        try:
            for row in (await store.inner.list_runs(RunQuery(limit=1000))).rows:
                check_history(row.id, await store.inner.history(row.id), row)
            for plan in self.plans:
                await self._check_outcome(store.inner, plan)
        finally:
            await store.inner.close()
        if self.options.durability.level is Level.LOG:
            self.world.check_executions()

    async def _check_outcome(self, store: Store, plan: Plan) -> None:
        run = fold(await store.history(plan.run_id))
        match run.state:
            case State.COMPLETED:
                assert run.result is not None
                value = codec.decode(run.result, Any, plan.run_id)
                if not fits(plan.program, value):
                    raise Violation(f"{plan.run_id} gave {value}, which its program cannot give: {plan.program}")
            case State.CANCELLED if plan.cancel_s is not None:
                pass
            case _:
                raise Violation(f"{plan.run_id} ended as {run.state}: {run.error}")
        if plan.is_cancel_acknowledged and run.cancel_reason is None:
            raise Violation(f"{plan.run_id}: an acknowledged cancellation is not in its history")

    def digest(self) -> str:
        """Stands for everything that was recorded."""
        runs = self.store.inner._runs.values()
        return hashlib.sha256(b"".join(encode_segment(run.events) for run in runs)).hexdigest()


_FINAL = {State.COMPLETED, State.FAILED, State.CANCELLED}


def play_seed(seed: int, file_store: Store | None = None) -> History:
    """Play one seed; raises `AssertionError` that says how to replay it."""
    logging.getLogger("aeterna").setLevel(logging.CRITICAL + 1)
    history = History(seed, file_store)
    try:
        history.play()
    except BaseException as error:
        error.add_note(f"seed {seed} failed; replay it with: .venv/bin/python -m tests.simulation {seed}")
        raise
    return history
