"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer.

Everything else is asyncio's own: callbacks run first in, first out, threads and sockets work. Time stands still while a
job runs in an executor, because how long it takes on this machine must not decide what a test sees.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple

from aeterna.testing.clock import FakeClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
ROUNDS_MAX = 50


class StalledError(RuntimeError):
    """Nothing is ready, no timer is set, no job runs in a thread: what the code waits for can never happen."""


class VirtualSelector(selectors.DefaultSelector):
    """Waits for what is really outside; where asyncio would wait for a timer, moves the clock there instead."""

    def __init__(self, clock: FakeClock, patience_s: float) -> None:
        super().__init__()
        self.jobs = 0
        self._clock = clock
        self._patience_s = patience_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What became ready; see the class."""
        if self.jobs:
            return self._look(None if timeout is None or timeout > 0 else 0)
        if timeout is None:
            ready = self._look(self._patience_s)
            if not ready and len(self.get_map()) <= 1:
                raise StalledError((StalledError.__doc__ or "").strip())
            return ready
        if timeout <= 0:
            return self._look(0)
        ready = self._look(0)
        if not ready:
            self._clock.advance(math.ceil(timeout * 1e6 - 1e-3))
        return ready

    def _look(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        found: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is ``clock``'s.

    ``patience_s``: for how long, in real seconds, a loop with nothing to do waits for a thread or socket it does not
    know of before it
    raises `StalledError`.
    """

    def __init__(self, clock: FakeClock | None = None, *, patience_s: float = 5.0) -> None:
        self.clock = clock or FakeClock()
        self._selector_of_time = VirtualSelector(self.clock, patience_s)
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        """The virtual monotonic time in seconds."""
        return self.clock.monotonic_us() / 1e6

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """As asyncio's; virtual time stands still until the job is done."""
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._selector_of_time.jobs += 1
        future.add_done_callback(self._job_done)
        return future

    async def shutdown_default_executor(self, *timeout_s: float | None) -> None:
        """As asyncio's; joining the threads is a job too, or its timeout would be over at once."""
        self._selector_of_time.jobs += 1
        try:
            # Python 3.12 added the timeout.
            await super().shutdown_default_executor(*timeout_s)
        finally:
            self._selector_of_time.jobs -= 1

    def _job_done(self, _: object) -> None:
        self._selector_of_time.jobs -= 1

    def bury(self) -> None:
        """Cancel every task until none is left, without letting time pass; then close the loop.

        For a simulated process that was killed: its outside must be cut off before, because ``finally`` blocks run.
        """
        for _ in range(ROUNDS_MAX):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_until_complete(_turns(10))
        left = asyncio.all_tasks(self)
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()
        if left:
            raise StalledError(f"these tasks survive being cancelled {ROUNDS_MAX} times: {left}")


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
