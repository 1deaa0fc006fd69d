"""One simulated process: an engine on its own loop, which lives until it is killed or its work is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.program import Program
from aeterna.durable.stores.contract import Store
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreFullError
from aeterna.testing.clock import FakeClock
from aeterna.testing.faults import FaultyStore, Moment, StoreCall
from aeterna.testing.virtual_loop import VirtualLoop
from tests.simulation.interpreter import perform, stage
from tests.simulation.world import Violation, World


@dataclass(frozen=True, slots=True)
class Death:
    """Where a process dies: at a store call, before or after it took effect, or after some virtual time.

    ``is_graceful``: after that time it is stopped in good order instead.
    """

    call: int = 0
    moment: Moment = Moment.BEFORE
    after_s: float | None = None
    is_graceful: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """A store that is full for ``count`` calls from call number ``first`` on, and works again after that.

    What opens and closes it is spared, because a process whose store does not open never runs; so is `COUNTING`, which
    only the simulation itself uses.
    """

    first: int
    count: int = 1

    def meets(self, call: StoreCall) -> bool:
        """This call is refused. Before its effect: an error leaves no trace."""
        is_now = self.first <= call.number < self.first + self.count
        return is_now and call.moment is Moment.BEFORE and call.method not in SPARED


COUNTING = frozenset({"count_runs", "list_runs"})
SPARED = COUNTING | {"open", "open_session", "close"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a process runs on.

    ``latency_s_max``: how long a store call may take on each side of its effect. ``at_once``: which share of the
    commits the store can do without a task switch.
    """

    store: Store
    clock: FakeClock
    rng: Random
    options: EngineOptions
    latency_s_max: float = 0.0
    death: Death | None = None
    at_once: float = 0.0
    troubles: tuple[Trouble, ...] = ()


Scenario = Callable[[Engine], Awaitable[None]]


class Process:
    """See the module. `run` returns True if the process reached the end of its scenario."""

    def __init__(self, machine: Machine, world: World) -> None:
        self._machine = machine
        self._world = world
        self._loop = VirtualLoop(machine.clock, patience_s=0)
        self._store = FaultyStore(machine.store, self._gate, self._gate_at_once)
        self.refused: list[str] = []
        self._problems: list[str] = []
        self._is_finished = False
        self._dying: asyncio.TimerHandle | None = None

    @property
    def store_calls(self) -> int:
        """How many calls of the store it made."""
        return self._store.calls

    def run(self, scenario: Scenario) -> bool:
        world = self._world
        world.process_started()
        stage.world = world
        self._loop.set_exception_handler(lambda _, context: self._problems.append(str(context)))
        death = self._machine.death
        if death is not None and death.after_s is not None and not death.is_graceful:
            self._dying = self._loop.call_later(death.after_s, self._die)
        main = self._loop.create_task(self._main(scenario))
        main.add_done_callback(self._stop)
        try:
            self._loop.run_forever()
            if not self._store.is_dead:
                main.result()
                self._check_nothing_is_left()
            return self._is_finished
        finally:
            self._store.die()
            world.is_process_dead = True
            self._loop.set_exception_handler(lambda _, __: None)
            self._loop.bury()
            world.process_ended()

    def _stop(self, _: object) -> None:
        if self._dying is not None:
            self._dying.cancel()
        if not self._store.is_dead:
            self._loop.stop()

    async def _main(self, scenario: Scenario) -> None:
        program = Program()
        program.add(perform.definition)
        engine = Engine(self._store, program, self._machine.options)
        await engine.start()
        death = self._machine.death
        try:
            async with asyncio.timeout(death.after_s if death is not None and death.is_graceful else None) as limit:
                await scenario(engine)
                self._is_finished = True
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            await engine.stop()

    def _check_nothing_is_left(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        timers = [handle for handle in self._loop._scheduled if not handle.cancelled()]
        if tasks or timers or self._problems:
            raise Violation(f"the engine left tasks {tasks}, timers {timers}, errors {self._problems}")

    async def _gate(self, call: StoreCall) -> None:
        machine = self._machine
        if machine.latency_s_max and machine.rng.random() < 0.5:
            await sleep(machine.rng.random() * machine.latency_s_max)
        self._strike(call)

    def _gate_at_once(self, call: StoreCall) -> bool:
        machine = self._machine
        is_open = machine.at_once == 1.0 or machine.rng.random() < machine.at_once
        if is_open or call.moment is Moment.AFTER:
            self._strike(call)
        return is_open

    def _strike(self, call: StoreCall) -> None:
        machine = self._machine
        if any(trouble.meets(call) for trouble in machine.troubles):
            self.refused.append(call.method)
            raise StoreFullError(f"the store is full at call {call.number}, {call.method}")
        death = machine.death
        if death is not None and death.call == call.number and death.moment is call.moment:
            self._die()

    def _die(self) -> None:
        if not self._store.is_dead:
            self._store.die()
            self._world.is_process_dead = True
            self._world.crashes += 1
            self._loop.stop()
