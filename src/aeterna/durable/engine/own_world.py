"""What operations need, where this very process has the engine: they commit with its journal and wait with its runs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import Run
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.program import StartOptions, WorkflowDefinition
from aeterna.durable.stores.contract import Exists, FullStore, Notice, NoticeKind, Outcome, Write
from aeterna.kernel.clock import Clock
from aeterna.kernel.limits import Limits


class OwnWorld:
    """`operations.world.World` over one engine; ``store`` is the engine's."""

    remote = None
    """Operations are carried out in this process."""
    executes = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # The store of a server's worker has no registry; there, operations on queues and schedules go to the server.
        self.store = cast("FullStore", engine.store)
        self.clock: Clock = engine.clock
        self.limits: Limits = engine.options.limits

    @property
    def session(self) -> int:
        """The engine's."""
        return self._engine.session

    async def commit(self, write: Write) -> Outcome:
        """Carry out the write with the engine's next commit; raises the `StoreError` if that fails."""
        outcome: Outcome = await self._engine.journal.request(write)
        return outcome

    async def start(
        self, definition: WorkflowDefinition, arguments: Payload, run_id: str, how: StartOptions | None
    ) -> str:
        """Start a run, here at once if there is room and nothing speaks against it; returns the id of the run that is
        meant. Errors as `Engine.start_run`."""
        outcome = await self._engine.starts.find_or_create(definition, arguments, run_id, how)
        return outcome.row.id if isinstance(outcome, Exists) else run_id

    def announce(self, *notices: Notice) -> None:
        """Tell this engine, and others that work on the store."""
        engine = self._engine
        engine.lookout.announce(*notices)
        for notice in notices:
            if notice.kind is NoticeKind.RUNS and notice.subject:
                engine.background.do(partial(engine.claims.park, notice.subject))

    async def cancel(self, run_id: str, reason: str) -> bool:
        """See `Engine.cancel`."""
        return await self._engine.cancel(run_id, reason)

    async def wait_end(self, run_id: str, timeout_s: float | None) -> Run | None:
        """Return once the run has ended, with the fold of its history if that is at hand.

        Raises `TimeoutError` after ``timeout_s``, and what keeps the run from ending here: the `NonDeterminismError` of
        a stuck run, the `StoreError` of a store that cannot write."""
        engine = self._engine
        with engine.waiters.register(run_id) as ended:
            if not engine.is_resident(run_id):
                row = await self.store.get_run(run_id)
                if row is None or row.state.is_final:
                    return None
            async with asyncio.timeout(timeout_s):
                return await ended

    async def query(self, run_id: str, name: str, arguments: Payload, timeout_s: float) -> Payload:
        """See `Engine.query`; answered in this process, whoever owns the run."""
        async with asyncio.timeout(timeout_s):
            return await self._engine.query(run_id, name, arguments)
