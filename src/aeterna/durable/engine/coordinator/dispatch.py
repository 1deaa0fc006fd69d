"""Hands runs that nobody owns to workers that have room for them, with their histories, unasked.

The worker with the most room comes first, and where several could take a run each takes a few at a time: so work
spreads over those who are free, and over those who join. A run that a client creates, and that has to wait for nothing,
is created as a worker's own at once, which saves the claim.

While nothing happens nothing is asked: notices, room, and the earliest wake-up start a look, and where other processes
work on the store there is one look per second in all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from msgspec import structs

from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.coordinator.attached import Attached, Delivery
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.engine.queue_waits import queue_waits
from aeterna.durable.stores.contract import Choice, Created, CreateRun, FullStore, RunRow, Sealed
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import StoreCorruptError, StoreError

log = logging.getLogger("aeterna.dispatch")

SHARE = 16
"""So many runs one worker takes at a time while others could take them, too."""
CLAIM_MAX = 500
RETRY_S = 0.2
SLEEP_S_MAX = 60.0
"""The wall clock may be set meanwhile, so no sleep is longer."""


class Dispatch:
    """The runs of one namespace, and those who wait for work."""

    def __init__(self, store: FullStore, sessions: Sessions, clock: Clock) -> None:
        self._store = store
        self._sessions = sessions
        self._clock = clock
        self._needed = asyncio.Event()
        self._exhausted: set[Choice] = set()
        self._news = 0
        self._has_queues = True
        self._is_limited = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_us: int | None = None

    def look(self) -> None:
        """There may be something new to hand out."""
        self._news += 1
        self._exhausted.clear()
        self._needed.set()

    def ended(self) -> None:
        """A run ended: one that its queue's limits kept waiting may start now."""
        if self._is_limited:
            self.look()

    async def look_for_queues(self) -> None:
        """Find out whether there are queues; without any, nobody asks how they stand."""
        self._has_queues = bool(await self._store.list_queues())

    def queued(self) -> None:
        """A run waits in a queue."""
        self._has_queues = True

    def room_made(self) -> None:
        """There may be somebody to take what there is."""
        self._needed.set()

    async def serve(self) -> None:
        """Hand out for ever; ends by cancellation. A store in trouble is asked again until it is well."""
        while True:
            await self._needed.wait()
            self._needed.clear()
            try:
                await self._deal()
            except StoreError as error:
                log.error("nothing can be handed out, will try again: %s", error, extra={"action": "dispatch_failed"})
                self._needed.set()
                await sleep(RETRY_S)

    def close(self) -> None:
        """Nothing is handed out any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    # Runs that are created as a worker's own.

    def assign(self, write: CreateRun) -> tuple[CreateRun, Attached] | None:
        """The creation as one of a worker's own, and the worker; None if the run has to wait for its turn, or nobody
        has room. Its place is taken; `assigned` or `unassigned` follows."""
        is_plain = (
            write.owner is None
            and write.state is State.PENDING
            and write.detail is not Detail.PAUSED
            and not write.queue
            and not write.requires
            and write.wake_us is None
            and write.singleton is None
        )
        if not is_plain:
            return None
        best: Attached | None = None
        for attached in self._sessions:
            if attached.room > (0 if best is None else best.room) and attached.can_execute(
                write.workflow, write.version
            ):
                best = attached
        if best is None:
            return None
        best.room -= 1
        return structs.replace(write, owner=best.number, detail=Detail.LEASED), best

    def assigned(self, write: CreateRun, created: Created, attached: Attached) -> None:
        """The run was created and belongs to the worker."""
        if attached.is_over:
            self.look()
            return
        events = write.events
        assert not isinstance(events, Sealed)
        row = RunRow(
            key=created.key,
            id=write.id,
            workflow=write.workflow,
            version=write.version,
            state=write.state,
            detail=write.detail,
            created_us=events[0].at_us,
            updated_us=events[-1].at_us,
            length=len(events),
            epoch=created.epoch,
            owner=attached.number,
            parent=write.parent,
            priority=write.priority,
            share=write.share,
        )
        self._sessions.hold(attached, row.key, row.id, row.parent)
        attached.outlet.deliver(Delivery(row, events))

    def unassigned(self, attached: Attached) -> None:
        """The run was not created."""
        if not attached.is_over:
            attached.room += 1

    # Runs that wait in the store.

    def wakes_at(self, wake_us: int | None) -> None:
        """A run that nobody owns can be claimed from then on; None = now."""
        if wake_us is None:
            self.look()
        elif self._alarm_us is None or wake_us < self._alarm_us:
            self._set_alarm(wake_us)

    async def _deal(self) -> None:
        while True:
            ready = [one for one in self._sessions if one.room > 0 and one.choice not in self._exhausted]
            if not ready:
                return
            best = max(ready, key=lambda one: one.room)
            limit = min(best.room, CLAIM_MAX if len(ready) == 1 else SHARE)
            news, choice = self._news, best.choice
            rows = await self._store.claim(best.number, self._clock.now_us(), limit, choice)
            best.room = max(0, best.room - len(rows))
            await self.hand_over(best, rows)
            if len(rows) < limit and news == self._news:
                self._exhausted.add(choice)
                await self._plan_next()

    async def _plan_next(self) -> None:
        """When to look again without being told to."""
        wake_us = await self._store.next_wake()
        if self._has_queues:
            waits = await queue_waits(self._store, self._clock.now_us())
            self._is_limited = waits.is_limited
            wake_us = min((each for each in (wake_us, waits.next_us) if each is not None), default=None)
        self._set_alarm(wake_us)

    async def hand_over(self, attached: Attached, rows: Sequence[RunRow]) -> None:
        """Give claimed runs to the worker."""
        for row in rows:
            self._sessions.hold(attached, row.key, row.id, row.parent)
        for row in rows:
            try:
                history = await self._store.history(row.id)
            except StoreCorruptError:
                # The worker asks for it, and says in the run's row what is wrong.
                history = None
            inbox = await self._store.inbox(row.id)
            if attached.is_over:
                # Whoever ended the session has given the runs back.
                return
            attached.outlet.deliver(Delivery(row, history, inbox))

    def _set_alarm(self, wake_us: int | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_us = None, wake_us
        if wake_us is not None:
            delay_s = min(max((wake_us - self._clock.now_us()) / 1e6, 0.0), SLEEP_S_MAX)
            self._alarm = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_us = None
        if len(self._sessions):
            self.look()
