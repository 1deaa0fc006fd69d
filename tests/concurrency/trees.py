"""Random trees of concurrency, executed once in virtual time, with every decision they took."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from random import Random

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import Run, fold
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine import guard
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.execution import Execution
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.engine.program import Program
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.stores.contract import CreateRun
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.testing.faults import FaultyStore, StoreCall
from aeterna.testing.virtual_loop import VirtualLoop
from tests.simulation.interpreter import perform, stage
from tests.simulation.programs import Generator, Node

RUN_ID = "tree"


@dataclass(slots=True)
class Trace:
    """A world that only listens: the decisions of the run since its code last started from the beginning."""

    decisions: list[str] = field(default_factory=list)
    executions: dict[str, int] = field(default_factory=dict)

    def begin(self, label: str) -> int:
        before = self.executions.get(label, 0)
        self.executions[label] = before + 1
        return before

    def incarnate(self, run_id: str) -> int:
        if run_id == RUN_ID:
            self.decisions = []
        return 0

    def note(self, life: int, run_id: str, decision: str, *, is_replaying: bool) -> None:
        if run_id == RUN_ID:
            self.decisions.append(decision)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one execution recorded, decided and gave."""

    program: Node
    history: list[ev.AnyEvent]
    decisions: list[str]

    @property
    def run(self) -> Run:
        return fold(self.history)


def tree(seed: int, *, children: bool = True) -> Node:
    """A random tree that has at least one fork."""
    rng = Random(f"tree {seed}")
    generator = Generator(rng, "t", children=children)
    return [
        "all",
        rng.choice(("parallel", "gather", "group", "wait", "completed")),
        [generator.node(3) for _ in range(3)],
    ]


def execute(program: Node, latency_seed: int, history: list[ev.AnyEvent] | None = None) -> Recorded:
    """Run a program to its end, from the beginning or from a history that a crash cut off."""
    logging.getLogger("aeterna").setLevel(logging.CRITICAL + 1)
    stage.world = trace = Trace()
    loop = VirtualLoop(patience_s=0)
    if history:
        loop.clock.set_wall(history[-1].at_us)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        events = runner.run(_execute(program, latency_seed, history, loop))
    return Recorded(program, events, trace.decisions)


async def _execute(
    program: Node, latency_seed: int, history: list[ev.AnyEvent] | None, loop: VirtualLoop
) -> list[ev.AnyEvent]:
    rng = Random(latency_seed)

    async def gate(call: StoreCall) -> None:
        if rng.random() < 0.5:
            await sleep(rng.random() * 0.03)

    inner = MemoryStore()
    definitions = Program()
    definitions.add(perform.definition)
    share = latency_seed % 3 / 2
    store = FaultyStore(inner, gate, lambda _: rng.random() < share)
    engine = Engine(store, definitions, EngineOptions(clock=loop.clock))
    if history:
        await inner.open()
        state = fold(history).state
        assert state is not None
        await inner.commit([CreateRun(RUN_ID, "perform", "1", state, Detail.QUEUED, None, tuple(history))])
    await engine.start()
    if not history:
        await engine.start_run(perform.definition, perform.encode_arguments((program,), {}), RUN_ID)
    await await_result(OwnWorld(engine), RUN_ID, 10_000)
    events = await inner.history(RUN_ID)
    await engine.stop()
    return events


def replay(history: list[ev.AnyEvent]) -> list[str]:
    """The decisions that replaying a history takes; nothing is executed."""
    # An engine does this when it starts.
    guard.install()
    stage.world = trace = Trace()
    execution = Execution(RUN_ID, perform.definition, 1 << 20)
    try:
        execution.replay(history, is_first_time=False)
        return list(trace.decisions)
    finally:
        execution.close()


def is_final(event: ev.AnyEvent) -> bool:
    """The event ends its run."""
    return isinstance(event, ev.RunCompleted | ev.RunFailed | ev.RunCancelled)


FINAL_STATES = (State.COMPLETED, State.FAILED, State.CANCELLED)
