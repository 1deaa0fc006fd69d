"""An app in virtual time: a workflow that sleeps for thirty days is tested in milliseconds.

::

    def test_a_reminder_is_sent_after_a_month() -> None:
        async def scenario(env: Environment) -> None:
            run = await remind.start("ada")
            await env.sleep(timedelta(days=29))
            assert not sent
            await env.crash()                     # as kill -9 would; the next use of the app opens it again
            assert await run.result() == "sent"

        Environment().run(app, scenario)

Steps are executed for real, on the same loop (plain functions in threads): time stands still while they work, and an
``asyncio.sleep`` of theirs takes virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from aeterna.durable.sdk.app import App
from aeterna.durable.stores.contract import FullStore
from aeterna.durable.stores.memory import MemoryStore
from aeterna.testing.clock import START_US, FakeClock
from aeterna.testing.faults import FaultyStore, Gate, SimulatedCrash, open_gate
from aeterna.testing.virtual_loop import VirtualLoop

T = TypeVar("T")


class Environment:
    """A clock, a store that outlives the app's crashes, and a loop in virtual time.

    ``store``: where runs are kept, by default in memory; ``started_at``: what the clock shows at first; ``gate``:
    passed before and
    after every call of the store (see `FaultyStore`). One environment can `run` several times, on the same runs.
    """

    def __init__(
        self, store: FullStore | None = None, *, started_at: datetime | None = None, gate: Gate = open_gate
    ) -> None:
        self.store: FullStore = store or MemoryStore()
        start_us = START_US if started_at is None else round(started_at.timestamp() * 1e6)
        self.clock = FakeClock(start_us)
        self._gate = gate
        self._connection = FaultyStore(self.store, gate)
        self._app: App | None = None

    def run(self, app: App, scenario: Callable[[Environment], Awaitable[T]]) -> T:
        """Run ``scenario(self)`` with the app opened on this environment's store and clock, then close the app.

        The app gets its own store and clock back afterwards.
        """
        loop = VirtualLoop(self.clock)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(self._play(app, scenario))

    async def _play(self, app: App, scenario: Callable[[Environment], Awaitable[T]]) -> T:
        self._app = app
        with app.placed(self._connect(), self.clock):
            async with app:
                return await scenario(self)

    def _connect(self) -> FaultyStore:
        self._connection = FaultyStore(self.store, self._gate)
        return self._connection

    @property
    def now(self) -> datetime:
        """What the wall clock shows, in UTC."""
        return datetime.fromtimestamp(self.clock.now_us() / 1e6, UTC)

    async def sleep(self, duration: float | timedelta) -> None:
        """Let virtual time pass, in seconds or as a timedelta; everything that is due meanwhile happens."""
        await asyncio.sleep(duration.total_seconds() if isinstance(duration, timedelta) else duration)

    async def crash(self) -> None:
        """End the app's engine as ``kill -9`` would: nothing that was not committed is kept.

        Steps under way are cancelled. The next use of the app opens it again, which recovers its runs.
        """
        app = self._require_app()
        self._connection.die()
        try:
            await app.close()
        except BaseExceptionGroup as group:
            if group.split(SimulatedCrash)[1] is not None:
                raise
        except SimulatedCrash:
            pass
        app.place(self._connect(), self.clock)

    async def restart(self) -> None:
        """Stop the app in good order, and open it again."""
        app = self._require_app()
        await app.close()
        await app.engine()

    def _require_app(self) -> App:
        if self._app is None:
            raise RuntimeError("no app runs in this environment: call this from the scenario of Environment.run")
        return self._app
