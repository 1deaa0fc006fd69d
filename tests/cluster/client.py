"""The client of a disturbed cluster: starts runs, sends signals, waits for results, and knows what was accepted.

Whatever fails because something is down is tried again under the same id, so that every run is meant to happen once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, TypeVar

from aeterna import App
from aeterna.kernel.errors import StoreError
from tests.cluster.observed import SentSignal
from tests.cluster.program import NARROW, SIGNALS, STEPS

T = TypeVar("T")

PAUSE_S = 0.1
CALL_S = 15.0
KINDS = ("plain", "plain", "sleepy", "called", "queued")


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """When (in seconds) a run is started, and when its signals are sent."""

    id: str
    kind: str
    start_s: float
    signals_s: tuple[float, ...] = ()
    sleep_s: float = 0.0

    @property
    def arguments(self) -> tuple[float, ...]:
        return (self.sleep_s,) if self.kind == "sleepy" else ()


def plan_runs(rng: Random, count: int, duration_s: float) -> list[PlannedRun]:
    """So many runs, begun within so many seconds."""
    planned = []
    for number in range(count):
        kind = rng.choice(KINDS)
        start_s = rng.random() * duration_s
        # A signal may be sent before its run waits for it, or long after.
        signals_s = tuple(sorted(start_s + rng.random() * 3 for _ in range(SIGNALS))) if kind == "called" else ()
        planned.append(PlannedRun(f"{kind}-{number}", kind, start_s, signals_s, rng.choice((0.05, 1.0, 2.5))))
    return sorted(planned, key=lambda run: run.start_s)


@dataclass(slots=True)
class Client:
    """``signals``: what was sent; ``retries``: how often something had to be tried again."""

    app: App
    signals: list[SentSignal] = field(default_factory=list)
    retries: int = 0

    async def play(self, planned: list[PlannedRun]) -> dict[str, Any]:
        """Start everything at its time and wait for all results, by id."""
        async with asyncio.TaskGroup() as group:
            tasks = {each.id: group.create_task(self._play(each)) for each in planned}
        return {run_id: task.result() for run_id, task in tasks.items()}

    async def _play(self, planned: PlannedRun) -> Any:
        await asyncio.sleep(planned.start_s)
        workflow = self.app.find_workflow(planned.kind).options(workflow_id=planned.id)
        handle = await self._insist(lambda: workflow.start(*planned.arguments))
        now_s = planned.start_s
        for number, at_s in enumerate(planned.signals_s, 1):
            await asyncio.sleep(at_s - now_s)
            now_s = at_s
            signal_id = f"{planned.id}/{number}"
            await self._insist(partial(handle.signal, "call", number, id=signal_id))
            self.signals.append(SentSignal(planned.id, signal_id))
        return await self._insist(handle.result, bounded=False)

    async def _insist(self, call: Callable[[], Awaitable[T]], *, bounded: bool = True) -> T:
        while True:
            try:
                async with asyncio.timeout(CALL_S if bounded else None):
                    return await call()
            except (StoreError, TimeoutError):
                self.retries += 1
                await asyncio.sleep(PAUSE_S)


def expected_results(planned: list[PlannedRun]) -> dict[str, object]:
    """Every run counts its steps."""
    return {each.id: STEPS for each in planned}


__all__ = ["NARROW", "Client", "PlannedRun", "expected_results", "plan_runs"]
