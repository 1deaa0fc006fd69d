"""Takes what is lost to nobody: sessions whose lease is over, and runs that kill whoever touches them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aeterna.durable.core.states import Detail
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.stores.contract import NEVER_US, Append, Head, Outcome, RunRow, Store, Write
from aeterna.kernel.clock import Clock

log = logging.getLogger("aeterna.reclaimer")

POISONED_MAX = 100


class Reclaimer:
    """That of one namespace; ``session``: the server's own."""

    def __init__(
        self, store: Store, sessions: Sessions, clock: Clock, commit: Callable[[Write], Awaitable[Outcome]]
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._clock = clock
        self._commit = commit
        self._is_suspicious = True

    def suspect(self) -> None:
        """A worker died; perhaps a run killed it."""
        self._is_suspicious = True

    async def expire(self) -> bool:
        """End the sessions whose lease is over; True if there were some."""
        expired = await self._store.expire_sessions(self._clock.now_us())
        if expired:
            self._sessions.lose(expired)
            self._is_suspicious = True
        return bool(expired)

    async def park(self, session: int) -> None:
        """Mark the runs that nobody may claim any more as stuck, after a worker died."""
        if not self._is_suspicious:
            return
        self._is_suspicious = False
        for row in await self._store.poisoned(POISONED_MAX):
            claimed = await self._store.claim_run(session, row.id)
            if claimed is not None:
                await self._mark(claimed, row.crashes)

    async def _mark(self, row: RunRow, crashes: int) -> None:
        note = (
            f"{crashes} workers in a row died with it before they had recorded anything; "
            f"see what it does to them, then: aeterna workflow resume {row.id}"
        )
        log.error("run %s is stuck: %s", row.id, note, extra={"action": "stuck", "run_id": row.id})
        head = Head(row.state, Detail.STUCK, NEVER_US, release=True, note=note)
        await self._commit(Append(row.key, row.epoch, row.length, (), self._clock.now_us(), head))
