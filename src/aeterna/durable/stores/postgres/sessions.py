"""Sessions and claims, each as one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from aeterna.durable.stores.contract import Choice, RunRow
from aeterna.durable.stores.postgres.connections import Session
from aeterna.durable.stores.postgres.rows import all_to_db, run_row, to_db


async def end_sessions(
    session: Session, namespace: int, numbers: Sequence[int], at_us: int, *, died: bool
) -> list[int]:
    """End those that live; what they owned is claimable. Returns them."""
    async with session.transaction():
        return await _end(session, await session.rows("lock_sessions", namespace, list(numbers)), at_us, died=died)


async def expire_sessions(session: Session, namespace: int, now_us: int) -> list[int]:
    """End those whose lease is over. Most times there are none, and nothing is locked."""
    if not await session.rows("expired", namespace, now_us):
        return []
    async with session.transaction():
        return await _end(session, await session.rows("lock_expired", namespace, now_us), now_us, died=True)


async def _end(session: Session, locked: Sequence[Sequence[int]], at_us: int, *, died: bool) -> list[int]:
    numbers = [row[0] for row in locked]
    if numbers:
        await session.rows("close_sessions", numbers, at_us)
        await session.rows("disown", numbers, [], died)
    return numbers


class Claiming:
    """One claim: who claims, when, and what it may take."""

    def __init__(self, namespace: int, number: int, now_us: int, choice: Choice, crash_limit: int) -> None:
        self._namespace = namespace
        self._number = number
        self._now_us = now_us
        workflows = choice.workflows
        self._queues = all_to_db(choice.queues)
        self._choice = (
            namespace,
            now_us,
            crash_limit,
            None if workflows is None else [to_db(name) for name, _ in workflows],
            None if workflows is None else [to_db(version) for _, version in workflows],
            self._queues,
            all_to_db(choice.capabilities),
        )

    async def claim(self, session: Session, limit: int) -> list[RunRow]:
        """See `Store.claim`. Looked at before a transaction is begun: most claims find nothing."""
        rows: list[RunRow] = []
        if session.is_repeat:
            rows = self._rows(session, await session.rows("claimed", self._namespace, self._now_us, self._number))
        ((has_begun, is_waiting),) = await session.rows("claimable", *self._choice)
        if not is_waiting:
            return rows + await self._take(session, limit - len(rows)) if has_begun else rows
        async with session.transaction():
            if has_begun:
                rows += await self._take(session, limit - len(rows))
            return rows + await self._start(session, limit - len(rows))

    async def _take(self, session: Session, limit: int) -> list[RunRow]:
        """Take runs that have begun."""
        if limit <= 0:
            return []
        found = await session.rows("claim_begun", *self._choice, self._number, limit)
        return sorted(self._rows(session, found), key=lambda row: row.key)

    @staticmethod
    def _rows(session: Session, found: list[Any]) -> list[RunRow]:
        return [run_row(values, session.place) for values in found]

    async def _start(self, session: Session, limit: int) -> list[RunRow]:
        """Start runs that wait, as the limits of their queues allow."""
        if limit <= 0:
            return []
        locked = [name for (name,) in await session.rows("limited_queues", self._namespace, self._queues, self._now_us)]
        chosen = [key for (key,) in await session.rows("choose_starts", *self._choice, limit, locked)]
        if not chosen:
            return []
        found = await session.rows("start_runs", self._namespace, self._number, chosen, self._now_us)
        rows = {row.key: row for row in self._rows(session, found)}
        started = [rows[key] for key in chosen if key in rows]
        await self._mark(session, started, locked)
        return started

    async def _mark(self, session: Session, started: Sequence[RunRow], locked: Sequence[str]) -> None:
        shares = sorted({(to_db(row.queue), to_db(row.share)) for row in started if row.queue})
        if shares:
            queues, names = zip(*shares, strict=True)
            await session.rows("mark_served", self._namespace, self._now_us, list(queues), list(names))
        counts = Counter(to_db(row.queue) for row in started)
        limited = [name for name in locked if counts[name]]
        if limited:
            numbers = [counts[name] for name in limited]
            await session.rows("mark_started", self._namespace, self._now_us, limited, numbers)
