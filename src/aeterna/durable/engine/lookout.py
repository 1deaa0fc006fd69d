"""The regular look at a store that others work on, too.

Notices say at once what happened elsewhere, and may be lost; so once a second everything they would have said is looked
for. That is the only thing an idle engine does."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from aeterna.durable.core.fold import fold
from aeterna.durable.engine.background import as_callback
from aeterna.durable.engine.poison import set_poison_aside
from aeterna.durable.stores.contract import Notice, NoticeKind, RunRow
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreError

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine

log = logging.getLogger("aeterna.engine")

ENDS_PER_LOOK = 100
"""Of so many runs that somebody here waits for and that are elsewhere, each look asks whether they have ended."""
LOOKS_PER_POISON = 10
SHORT_SLEEP_US = 2_000_000
"""A run that wakes so soon is not worth letting go of."""


class Lookout:
    """Hears notices and looks for what they missed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked: list[str] = []
        self._looks = 0

    def hear(self, notice: Notice) -> None:
        """Something happened, here or elsewhere; from a plain callback of the loop."""
        engine = self._engine
        if not engine.is_serving:
            return
        engine.schedules.hear(notice)
        match notice.kind:
            case NoticeKind.RUNS:
                engine.claims.arrived()
            case NoticeKind.INBOX:
                engine.mail.arrived(notice.subject)
            case NoticeKind.ENDED:
                engine.claims.slot_freed()
                self.look_for(notice.subject)
            case NoticeKind.YIELD:
                engine.yielding.ask(notice.subject)
            case NoticeKind.LOST:
                engine.background.do(engine.tenure.lost)

    def look_for(self, run_id: str) -> None:
        """The run may have ended elsewhere: look whether that is so, if it matters here."""
        if self._engine.is_resident(run_id) or self._is_awaited(run_id):
            self._engine.background.do(lambda: self._look_at(run_id))

    def announce(self, *notices: Notice) -> None:
        """Tell everybody, here and elsewhere."""
        for notice in notices:
            self.hear(notice)
        if self._engine.store.is_shared:
            self._engine.store.notify(notices)

    def ended_unseen(self, row: RunRow) -> None:
        """A run has ended without ever having been in memory."""
        engine = self._engine
        engine.background.do(lambda: self._look_at(row.id))
        if row.parent is not None:
            engine.children.ended(row.parent, row.id)
        self.ended_here(row.id)

    def ended_here(self, run_id: str) -> None:
        """A run has ended in this process: schedules and queues go on, and the others hear of it."""
        engine = self._engine
        ended = Notice(NoticeKind.ENDED, run_id)
        engine.schedules.hear(ended)
        engine.claims.slot_freed()
        if engine.store.is_shared:
            engine.store.notify([ended])

    async def serve(self) -> None:
        """Look for ever; ends by cancellation. Once, and not again, where nobody else works on the store."""
        engine = self._engine
        if not engine.store.is_shared:
            engine.background.do(lambda: set_poison_aside(engine))
        while engine.store.is_shared:
            await sleep(engine.options.look_s)
            try:
                await self._look()
            except StoreError as error:
                log.warning("the store could not be looked at: %s", error, extra={"action": "look_failed"})

    async def _look(self) -> None:
        engine = self._engine
        lease = engine.lease
        if lease is not None and lease.holds():
            # One whose own lease is in doubt is no judge of others.
            await engine.store.expire_sessions(engine.clock.now_us())
        for run_id in await engine.store.unread(engine.session):
            engine.mail.arrived(run_id)
        if self._looks % LOOKS_PER_POISON == 0:
            await set_poison_aside(engine)
        self._looks += 1
        self._asked = [run_id for run_id in self._asked if self._is_awaited(run_id)]
        if not self._asked:
            self._asked = [run_id for run_id in self._awaited() if not engine.is_resident(run_id)]
        turn, self._asked = self._asked[:ENDS_PER_LOOK], self._asked[ENDS_PER_LOOK:]
        for run_id in turn:
            await self._look_at(run_id)
        self._let_go()
        engine.claims.look()

    def _awaited(self) -> Iterable[str]:
        engine = self._engine
        return [*engine.waiters.awaited(), *engine.children.awaited()]

    def _is_awaited(self, run_id: str) -> bool:
        return self._engine.waiters.has(run_id) or self._engine.children.is_awaited(run_id)

    async def _look_at(self, run_id: str) -> None:
        """Tell those who wait for the run if it has ended elsewhere."""
        engine = self._engine
        row = await engine.store.get_run(run_id)
        if row is None or not row.state.is_final:
            return
        run = fold(await engine.store.history(run_id))
        if run.state is not None and run.state.is_final:
            await as_callback(lambda: engine.drop(run_id))
            engine.waiters.publish(run_id, run)
            engine.children.ended_elsewhere(run_id)

    def _let_go(self) -> None:
        """Runs that have waited for a while, and go on waiting, are given up: they hold no lease, and whoever has room
        when they wake takes them."""
        engine = self._engine
        since_us = engine.clock.monotonic_us() - engine.options.release_after_us
        wake_us = engine.clock.now_us() + SHORT_SLEEP_US
        idle = (runner for runner in engine.residents.waiting_since(since_us) if runner.is_waiting)
        for runner in [*islice((runner for runner in idle if (runner.wake_us or 0) > wake_us), 1_000)]:
            if not runner.is_releasing:
                runner.release()
