"""What a resident run asks of the engine it lives in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from aeterna.durable.core.states import Detail
from aeterna.durable.engine.durability import Durability
from aeterna.durable.engine.execution import Wait
from aeterna.durable.engine.lease import Lease
from aeterna.durable.engine.program import ChildRequest
from aeterna.durable.engine.steps import StepExecutor
from aeterna.durable.engine.timers import Timers
from aeterna.kernel.clock import Clock

if TYPE_CHECKING:
    from aeterna.durable.engine.runner import Runner
    from aeterna.durable.engine.work import Work
    from aeterna.durable.engine.yielding import Yielding

WAITING = frozenset(
    {Detail.SLEEPING, Detail.WAITING_CHILD, Detail.WAITING_SIGNAL, Detail.RETRYING, Detail.PAUSED},
)
"""Occupations that need no worker: such a run may leave memory."""


class Host(Protocol):
    """What a runner asks of the engine it lives in."""

    clock: Clock
    timers: Timers
    steps: StepExecutor
    durability: Durability
    yielding: Yielding

    @property
    def lease(self) -> Lease | None:
        """How long steps may begin; None = as long as the process lives."""
        ...

    def spawn(self, work: Work, wait: Wait, attempt: int) -> asyncio.Task[None]:
        """Run `Work.run_step` as a task of the engine."""
        ...

    def start_child(self, runner: Runner, request: ChildRequest) -> None:
        """Create the child run if it does not exist, and see to it that `Runner.child_ended` is called when it
        ends."""
        ...

    def cancel_child(self, runner: Runner, child: str) -> None:
        """The parent has given the child up; `Runner.child_given_up` is called once that cannot be forgotten."""
        ...

    def note_waiting(self, runner: Runner, *, is_waiting: bool) -> None:
        """The run began or stopped to do nothing but wait."""
        ...

    def finished(self, runner: Runner) -> None:
        """The run's final event is committed."""
        ...

    def released(self, runner: Runner) -> None:
        """The run was given up with `Runner.release` and the store knows it."""
        ...

    def fenced(self, runner: Runner) -> None:
        """Another session owns the run."""
        ...

    def stuck(self, runner: Runner, error: Exception) -> None:
        """The run cannot go on with this code, and its row says so."""
        ...
