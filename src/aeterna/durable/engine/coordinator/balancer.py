"""Evens the load of workers out: asks those that hold clearly more than their share to hand runs over.

It looks once a second, at the sessions here and, where other processes work on the store, at theirs. Every server plans
for all of them and asks its own, so that several servers come to the same plan. What was asked for is waited for before
anything new is planned for the same worker: a plan that knows only half of the last one would swing to and fro."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from aeterna.durable.engine.coordinator.about import about_of
from aeterna.durable.engine.coordinator.attached import Attached
from aeterna.durable.engine.coordinator.balance import SURPLUS_MIN, Load, plan_moves
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.stores.contract import Notice, NoticeKind, Store
from aeterna.kernel.clock import Clock

log = logging.getLogger("aeterna.balancer")

ROUND_US = 3_000_000
"""So long a worker has for what it was asked for: a little longer than it tries."""


@dataclass(slots=True)
class _Round:
    """What one worker was asked for. ``wanted``: how many runs each taker is to get yet."""

    until_us: int
    wanted: dict[int, int] = field(default_factory=dict)


class Balancer:
    """That of one namespace. ``handed_over``: how many runs workers have given up because they were asked to."""

    def __init__(self, store: Store, sessions: Sessions, clock: Clock) -> None:
        self._store = store
        self._sessions = sessions
        self._clock = clock
        self._rounds: dict[int, _Round] = {}
        self.handed_over = 0

    async def look(self) -> None:
        """Ask for what would even the load out; raises the store's error."""
        now_us = self._clock.monotonic_us()
        self._rounds = {number: each for number, each in self._rounds.items() if now_us < each.until_us}
        if not any(_can_give(one) and len(one.held) >= SURPLUS_MIN for one in self._sessions):
            return
        loads = [_load(one) for one in self._sessions]
        if self._store.is_shared:
            loads += await self._elsewhere()
        for move in plan_moves(loads):
            if self._sessions.find(move.giver) is not None and self._is_free(move.giver, now_us):
                each = self._rounds.setdefault(move.giver, _Round(now_us + ROUND_US))
                each.wanted[move.taker] = move.runs
        for number, each in self._rounds.items():
            if each.until_us == now_us + ROUND_US:
                self._ask(number, sum(each.wanted.values()))

    def _is_free(self, giver: int, now_us: int) -> bool:
        """It was asked for nothing, or in this very look."""
        each = self._rounds.get(giver)
        return each is None or each.until_us == now_us + ROUND_US

    def _ask(self, giver: int, count: int) -> None:
        attached = self._sessions.find(giver)
        if attached is not None:
            log.info("session %d is to hand over %d runs", giver, count, extra={"action": "yield_asked"})
            attached.outlet.tell(Notice(NoticeKind.YIELD, str(count)))

    async def _elsewhere(self) -> list[Load]:
        """The sessions that other processes serve."""
        loads = []
        for row in await self._store.list_sessions():
            about = about_of(row.about)
            if about.role != "server" and self._sessions.find(row.number) is None:
                loads.append(Load(row.number, row.runs, max(0, about.room - row.runs), about.choice))
        return loads

    def not_giving(self, attached: Iterable[Attached]) -> list[Attached]:
        """Those that are not handing runs over to somebody who can take them: the others are given none meanwhile."""
        return [one for one in attached if not self._is_giving(one)]

    def _is_giving(self, attached: Attached) -> bool:
        each = self._rounds.get(attached.number)
        if each is None or self._clock.monotonic_us() >= each.until_us:
            return False
        return any(self._can_take(number) for number in each.wanted)

    def _can_take(self, number: int) -> bool:
        """One that is elsewhere is believed to."""
        attached = self._sessions.find(number)
        return attached is None or attached.room > 0

    def given_up(self, giver: int) -> int | None:
        """The session gave a run up; returns the one that is to have it, if it was asked for. It may be elsewhere."""
        each = self._rounds.get(giver)
        if each is None:
            return None
        self.handed_over += 1
        taker = max(each.wanted, key=lambda number: each.wanted[number])
        each.wanted[taker] -= 1
        if not each.wanted[taker]:
            del each.wanted[taker]
        if not each.wanted:
            del self._rounds[giver]
        return taker


def _can_give(attached: Attached) -> bool:
    """Simple clients have nothing to stop at: their workflow is one call."""
    return attached.room_max is None


def _load(attached: Attached) -> Load:
    held = len(attached.held)
    # A worker does not say every change of its room.
    room = max(attached.room, attached.capacity - held)
    return Load(attached.number, held, room, attached.choice, _can_give(attached))
