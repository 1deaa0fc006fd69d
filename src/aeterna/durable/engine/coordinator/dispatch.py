"""Hands runs that nobody owns to workers that have room for them, with their histories, unasked.

The worker with the most room comes first, and where several could take a run each takes a few at a time: so work
spreads over those who are free, and over those who join. A run that prefers another worker than the one that happens to
claim it goes to that one (see `preferences`); a run that a worker was asked to hand over goes to the one it was asked
for (see `balancer`). A run that a client creates, and that has to wait for nothing, is created as a worker's own at
once, which saves the claim (see `assigning`).

While nothing happens nothing is asked: notices, room, and the earliest wake-up start a look, and where other processes
work on the store there is one look per second in all."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.engine.coordinator.assigning import Assigning, roomiest
from aeterna.durable.engine.coordinator.attached import Attached, Delivery, Held
from aeterna.durable.engine.coordinator.balancer import Balancer
from aeterna.durable.engine.coordinator.preferences import Preferences
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.engine.queue_waits import queue_waits
from aeterna.durable.stores.contract import (
    Choice,
    FullStore,
    Message,
    Notice,
    NoticeKind,
    RunRow,
)
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import StoreCorruptError, StoreError

log = logging.getLogger("aeterna.dispatch")

SHARE = 16
"""So many runs one worker takes at a time while others could take them, too."""
CLAIM_MAX = 500
RETRY_S = 0.2
SLEEP_S_MAX = 60.0
"""The wall clock may be set meanwhile, so no sleep is longer."""


class Passing(NamedTuple):
    """A run that is to go to the session ``taker``. ``claimer``: the one that has claimed it, and not seen it; 0 =
    none."""

    run_id: str
    taker: int
    claimer: int = 0


class Dispatch:
    """The runs of one namespace, and those who wait for work."""

    def __init__(self, store: FullStore, sessions: Sessions, clock: Clock) -> None:
        self._store = store
        self._sessions = sessions
        self._clock = clock
        self.balancer = Balancer(store, sessions, clock)
        self.preferences = Preferences(sessions, clock)
        self.assigning = Assigning(sessions, self.preferences, self.balancer, self.look)
        self._directed: deque[Passing] = deque()
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

    # Runs that wait in the store.

    def wakes_at(self, wake_us: int | None) -> None:
        """A run that nobody owns can be claimed from then on; None = now."""
        if wake_us is None:
            self.look()
        elif self._alarm_us is None or wake_us < self._alarm_us:
            self._set_alarm(wake_us)

    def released(self, run: Held, key: int, wake_us: int | None) -> bool:
        """A worker gave the run up, to be claimed from ``wake_us`` on (None = now); True if it is dealt with here."""
        taker = self.balancer.given_up(run.session)
        if wake_us is not None:
            self.preferences.left(key, run.session)
        elif taker is not None:
            if self._sessions.find(taker) is not None:
                self._directed.append(Passing(run.id, taker))
                self._needed.set()
                return True
            # That worker's server takes it, unless it has gone meanwhile, which the next regular look finds out.
            return False
        self.wakes_at(wake_us)
        return False

    async def _direct(self) -> None:
        """Bring runs to whom they are meant for; where that is not possible any more, to whoever has room."""
        while self._directed:
            passing = self._directed[0]
            found = None if self._is_gone(passing) else await self._claim_for(passing)
            # Not before: a store in trouble is asked again, and the answer may be all that was lost.
            self._directed.popleft()
            if found is None:
                self.look()
                continue
            target, row = found
            self._move_room(passing, target)
            await self._give(target, row)

    async def _claim_for(self, passing: Passing) -> tuple[Attached, RunRow] | None:
        """The run for its taker; for its claimer, who has not seen it, where the taker is full or over by now."""
        for number in (passing.taker, passing.claimer):
            target = self._sessions.find(number)
            if target is None or (number == passing.taker and target.room <= 0):
                continue
            row = await self._store.claim_run(number, passing.run_id, by_force=passing.claimer > 0)
            if row is not None:
                return target, row
        return None

    def _is_gone(self, passing: Passing) -> bool:
        """Whoever claimed it has gone since, and perhaps somebody else works on it."""
        holder = self._sessions.holder(passing.run_id)
        return passing.claimer > 0 and (holder is None or holder.number != passing.claimer)

    def _move_room(self, passing: Passing, target: Attached) -> None:
        claimer = self._sessions.find(passing.claimer)
        if target is not claimer:
            target.room -= 1
            if claimer is not None:
                claimer.room += 1

    async def _deal(self) -> None:
        while True:
            await self._direct()
            ready = [one for one in self._sessions if one.room > 0 and one.choice not in self._exhausted]
            best = roomiest(self.balancer.not_giving(ready))
            if best is None:
                return
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
            await self._give(attached, row, len(rows))

    async def _give(self, attached: Attached, row: RunRow, together: int = 0) -> None:
        """Give a claimed run to the worker, or pass it on to one that should have it rather. ``together``: how many
        were claimed at the same time; 0 = it is meant for this one."""
        self._sessions.hold(attached, row.key, row.id, row.parent)
        history, inbox, is_whole = await self._read(row)
        better = self.preferences.better(attached, row, history, together) if together else None
        if better is not None:
            self._directed.append(Passing(row.id, better.number, attached.number))
            self._needed.set()
        elif not attached.is_over:
            # Whoever ended the session has given the run back.
            attached.outlet.deliver(Delivery(row, history, inbox))
            if not is_whole:
                attached.outlet.tell(Notice(NoticeKind.INBOX, row.id))

    async def _read(self, row: RunRow) -> tuple[list[AnyEvent] | None, list[Message], bool]:
        """What goes with the run, and whether that is all; the worker asks for what could not be read."""
        try:
            history = await self._store.history(row.id)
        except StoreCorruptError:
            # The worker says in the run's row what is wrong.
            history = None
        except StoreError:
            return None, [], False
        try:
            return history, await self._store.inbox(row.id), True
        except StoreError:
            return history, [], False

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
