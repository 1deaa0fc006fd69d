"""Sessions, notices, queues, schedules and tokens of the memory store; its runs are in ``memory``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from aeterna.durable.stores.contract import (
    Notice,
    Outlook,
    QueueRow,
    QueueState,
    Rank,
    RunRow,
    ScheduleRow,
    SessionRow,
    TokenRow,
)
from aeterna.durable.stores.memory_registry import Queues, Schedules, Tokens
from aeterna.durable.stores.memory_run import MemoryRun
from aeterna.durable.stores.text import require_text
from aeterna.kernel.errors import StoreError

replace = msgspec.structs.replace


class MemorySessions:
    """The part of `MemoryStore` that is not about single runs."""

    commit_shards = 1
    lease_us = None

    def __init__(self, namespace: str, tokens: Tokens, *, is_shared: bool) -> None:
        require_text("namespace", namespace)
        self.namespace = namespace
        self.description = f"memory store of namespace {namespace!r}"
        self.is_shared = is_shared
        self._unfinished: dict[int, MemoryRun] = {}
        self._sessions: dict[int, SessionRow] = {}
        self._ended_us: dict[int, int] = {}
        self._last_session = 0
        self._queues = Queues()
        self._schedules = Schedules()
        self._tokens = tokens
        self._outlooks: list[Outlook] = []
        self._openings = 0

    async def open(self) -> None:
        """See `Store.open`. Engines that share it open and close it each for itself."""
        self._openings = self._openings + 1 if self.is_shared else 1

    async def close(self) -> None:
        """See `Store.close`. Sessions without a lease die with it."""
        self._openings = max(self._openings - 1, 0)
        if not self._openings:
            for each in [each for each in self._sessions.values() if each.expires_us is None]:
                self._end_session(each.number, each.opened_us, died=True)

    def _require_open(self) -> None:
        if not self._openings:
            raise StoreError(f"{self.description} is not open; call open() first")

    # Sessions.

    async def open_session(
        self, at_us: int, host: str, pid: int, *, lease_us: int | None = None, name: str = "", about: str = "{}"
    ) -> int:
        """See `Store.open_session`."""
        self._require_open()
        for what, text in (("host", host), ("name", name), ("about", about)):
            require_text(what, text)
        if lease_us is None:
            for session in list(self._sessions):
                self._end_session(session, at_us, died=True)
        self._last_session += 1
        expires_us = None if lease_us is None else at_us + lease_us
        number = self._last_session
        self._sessions[number] = SessionRow(number, host, pid, at_us, None, expires_us, name, about, 0)
        return number

    async def close_session(self, session: int, at_us: int, *, died: bool = False) -> None:
        """See `Store.close_session`; a session that is not live is left as it is."""
        self._require_open()
        self._end_session(session, at_us, died=died)

    def _end_session(self, session: int, at_us: int, *, died: bool) -> None:
        if self._sessions.pop(session, None) is not None:
            self._ended_us[session] = at_us
            for run in self._unfinished.values():
                if run.owner == session:
                    run.disown(died=died)

    async def renew_sessions(self, sessions: Sequence[int], expires_us: int) -> list[int]:
        """See `Store.renew_sessions`."""
        self._require_open()
        alive = [session for session in sessions if session in self._sessions]
        for session in alive:
            self._sessions[session] = replace(self._sessions[session], expires_us=expires_us)
        return alive

    async def expire_sessions(self, now_us: int) -> list[int]:
        """See `Store.expire_sessions`."""
        self._require_open()
        over = [
            each.number for each in self._sessions.values() if each.expires_us is not None and each.expires_us <= now_us
        ]
        for session in over:
            self._end_session(session, now_us, died=True)
        return over

    async def forget(self, before_us: int, limit: int) -> int:
        """See `Store.forget`."""
        self._require_open()
        old = [session for session, ended_us in self._ended_us.items() if ended_us < before_us][: max(limit, 0)]
        for session in old:
            del self._ended_us[session]
        return len(old) + self._queues.forget_shares(self._unfinished.values(), before_us, limit)

    async def list_sessions(self, *, limit: int = 1000) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        self._require_open()
        owned = Counter(run.owner for run in self._unfinished.values())
        return [replace(each, runs=owned[each.number]) for each in list(self._sessions.values())[: max(limit, 0)]]

    def watch(self, outlook: Outlook) -> None:
        """See `Store.watch`."""
        self._outlooks.append(outlook)

    def notify(self, notices: Sequence[Notice]) -> None:
        """See `Store.notify`: "other processes" are those that share the object, where it is meant to be shared."""
        if self.is_shared:
            loop = asyncio.get_running_loop()
            for notice in notices:
                for outlook in self._outlooks:
                    loop.call_soon(outlook, notice)

    # Queues, schedules, tokens.

    async def put_queue(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`."""
        self._require_open()
        require_text("queue name", queue.name)
        self._queues.put(queue)

    async def delete_queue(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        self._require_open()
        return self._queues.delete(name)

    async def list_queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        self._require_open()
        return self._queues.states(self._unfinished.values())

    async def rank(self, run: RunRow) -> Rank:
        """See `Registry.rank`."""
        self._require_open()
        return self._queues.rank(self._unfinished.values(), run)

    async def put_schedule(self, schedule: ScheduleRow) -> None:
        """See `Registry.put_schedule`."""
        self._require_open()
        require_text("schedule id", schedule.id)
        self._schedules.put(schedule)

    async def delete_schedule(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        self._require_open()
        return self._schedules.delete(schedule)

    async def list_schedules(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        self._require_open()
        return self._schedules.all()

    async def next_schedule(self) -> int | None:
        """See `Registry.next_schedule`."""
        self._require_open()
        return self._schedules.next_us()

    async def put_token(self, token: TokenRow) -> None:
        """See `Registry.put_token`."""
        await self._tokens.put_token(token)

    async def delete_token(self, hash_: bytes) -> bool:
        """See `Registry.delete_token`."""
        return await self._tokens.delete_token(hash_)

    async def list_tokens(self) -> list[TokenRow]:
        """See `Registry.list_tokens`."""
        return await self._tokens.list_tokens()
