"""Brings what is in the inboxes to the runs in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeterna.durable.engine.background import as_callback
from aeterna.durable.stores.contract import MessageKind

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine


class Mail:
    """Reads the inboxes of one engine's runs when something is said to be in them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked: set[str] = set()

    def arrived(self, run_id: str) -> None:
        """Something was posted to this run, which may be here or not."""
        engine = self._engine
        if run_id in engine.stuck_here:
            engine.background.do(lambda: self._try_again(run_id))
        elif run_id not in self._asked and (engine.is_resident(run_id) or engine.is_expecting):
            self._asked.add(run_id)
            engine.background.do(lambda: self._bring(run_id))

    async def _try_again(self, run_id: str) -> None:
        """A run that is stuck here is tried again if somebody asks for that, or wants it to end."""
        messages = await self._engine.store.inbox(run_id)
        if any(message.kind in (MessageKind.CANCEL, MessageKind.RESUME) for message in messages):
            self._engine.claims.take_back(run_id)

    async def _bring(self, run_id: str) -> None:
        engine = self._engine
        # A run whose creation was committed a moment ago comes into memory before this returns, and one that is being
        # claimed before the lock is free.
        await engine.journal.barrier()
        async with engine.claims.exclusive:
            self._asked.discard(run_id)
        if not engine.is_resident(run_id):
            engine.claims.look()
            return
        messages = await engine.store.inbox(run_id)

        def receive() -> None:
            runner = engine.residents.get(run_id)
            if runner is not None:
                runner.receive(messages)

        await as_callback(receive)
