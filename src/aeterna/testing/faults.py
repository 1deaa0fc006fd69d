"""A store between the engine and the real one, where things go wrong when told to.

Every call passes two gates: before it takes effect and after it did, while the caller does not know yet. A gate may
wait (a slow disk), raise a `StoreError` (a full one; before the effect only, because an error leaves no trace), or end
the simulated process. `Store.commit_at_once` cannot wait, so it has a gate of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import (
    ANY,
    Choice,
    FullStore,
    Message,
    Notice,
    Outcome,
    Outlook,
    Page,
    QueueRow,
    QueueState,
    Rank,
    RunQuery,
    RunRow,
    ScheduleRow,
    SessionRow,
    TokenRow,
    Write,
)

T = TypeVar("T")


class SimulatedCrash(BaseException):
    """The simulated process is dead: nothing it does reaches its store any more."""


class Moment(Enum):
    """When a gate is passed."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class StoreCall:
    """One passage of a gate. ``number`` counts the calls of this store object from 1; ``method`` is the contract's
    name."""

    number: int
    method: str
    moment: Moment


Gate = Callable[[StoreCall], Awaitable[None]]

GateAtOnce = Callable[[StoreCall], bool]
"""The gate of `Store.commit_at_once`. False before the effect: not now, the caller is to use `Store.commit`; after it
the answer means nothing."""


async def open_gate(call: StoreCall) -> None:
    """Lets everything pass."""


def open_gate_at_once(_: StoreCall) -> bool:
    """Lets every commit pass."""
    return True


class FaultyStore:
    """A `FullStore` over another one, with ``gate`` before and after every call. `die` cuts the two apart for good.

    ``gate_at_once`` stands before and after `commit_at_once`; without one, every commit passes through ``gate``,
    unless that is open too.
    """

    def __init__(self, inner: FullStore, gate: Gate = open_gate, gate_at_once: GateAtOnce | None = None) -> None:
        self.inner = inner
        self.description = inner.description
        self.is_shared = inner.is_shared
        self.commit_shards = inner.commit_shards
        self.calls = 0
        self.is_dead = False
        self._gate = gate
        self._gate_at_once = open_gate_at_once if gate_at_once is None and gate is open_gate else gate_at_once

    def die(self) -> None:
        """From now on every call, those under way included, raises `SimulatedCrash` and has no effect.

        `commit_at_once` raises only if the death came while it was called; later it answers None, and `commit` raises.
        """
        self.is_dead = True

    async def _pass(self, method: str, work: Callable[[], Awaitable[T]]) -> T:
        self.calls += 1
        number = self.calls
        await self._knock(StoreCall(number, method, Moment.BEFORE))
        result = await work()
        await self._knock(StoreCall(number, method, Moment.AFTER))
        return result

    async def _knock(self, call: StoreCall) -> None:
        if not self.is_dead:
            await self._gate(call)
        self._require_alive(call)

    def _require_alive(self, call: StoreCall) -> None:
        if self.is_dead:
            raise SimulatedCrash(f"at {call.method}, call {call.number}, {call.moment.value}")

    @property
    def lease_us(self) -> int | None:
        """See `Store.lease_us`."""
        return self.inner.lease_us

    async def open(self) -> None:
        """See `Store.open`."""
        await self._pass("open", self.inner.open)

    async def close(self) -> None:
        """See `Store.close`; a dead process does not close."""
        await self._pass("close", self.inner.close)

    async def open_session(
        self, at_us: int, host: str, pid: int, *, lease_us: int | None = None, name: str = "", about: str = "{}"
    ) -> int:
        """See `Store.open_session`."""
        return await self._pass(
            "open_session",
            lambda: self.inner.open_session(at_us, host, pid, lease_us=lease_us, name=name, about=about),
        )

    async def close_session(self, session: int, at_us: int, *, died: bool = False) -> None:
        """See `Store.close_session`."""
        await self._pass("close_session", lambda: self.inner.close_session(session, at_us, died=died))

    async def renew_sessions(self, sessions: Sequence[int], expires_us: int) -> list[int]:
        """See `Store.renew_sessions`."""
        return await self._pass("renew_sessions", lambda: self.inner.renew_sessions(sessions, expires_us))

    async def expire_sessions(self, now_us: int) -> list[int]:
        """See `Store.expire_sessions`."""
        return await self._pass("expire_sessions", lambda: self.inner.expire_sessions(now_us))

    async def list_sessions(self, *, limit: int = 1000) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        return await self._pass("list_sessions", lambda: self.inner.list_sessions(limit=limit))

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`."""
        return await self._pass("commit", lambda: self.inner.commit(writes))

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """See `Store.commit_at_once`, and the class."""
        gate = self._gate_at_once
        if self.is_dead or gate is None:
            return None
        self.calls += 1
        before = StoreCall(self.calls, "commit_at_once", Moment.BEFORE)
        is_open = gate(before)
        self._require_alive(before)
        outcomes = self.inner.commit_at_once(writes) if is_open else None
        if outcomes is None:
            # Nothing was done: it counts when it comes as `commit`.
            self.calls -= 1
            return None
        after = StoreCall(before.number, before.method, Moment.AFTER)
        gate(after)
        self._require_alive(after)
        return outcomes

    async def claim(self, session: int, now_us: int, limit: int, choice: Choice = ANY) -> list[RunRow]:
        """See `Store.claim`."""
        return await self._pass("claim", lambda: self.inner.claim(session, now_us, limit, choice))

    async def claim_run(self, session: int, run_id: str, *, by_force: bool = False) -> RunRow | None:
        """See `Store.claim_run`."""
        return await self._pass("claim_run", lambda: self.inner.claim_run(session, run_id, by_force=by_force))

    async def poisoned(self, limit: int) -> list[RunRow]:
        """See `Store.poisoned`."""
        return await self._pass("poisoned", lambda: self.inner.poisoned(limit))

    def set_crash_limit(self, limit: int) -> None:
        """See `Store.set_crash_limit`."""
        self.inner.set_crash_limit(limit)

    async def release_runs(self, session: int, except_keys: Sequence[int], *, at_us: int) -> int:
        """See `Store.release_runs`."""
        return await self._pass("release_runs", lambda: self.inner.release_runs(session, except_keys, at_us=at_us))

    async def inbox(self, run_id: str) -> list[Message]:
        """See `Store.inbox`."""
        return await self._pass("inbox", lambda: self.inner.inbox(run_id))

    async def unread(self, session: int) -> list[str]:
        """See `Store.unread`."""
        return await self._pass("unread", lambda: self.inner.unread(session))

    def watch(self, outlook: Outlook) -> None:
        """See `Store.watch`; a dead process hears nothing."""
        self.inner.watch(lambda notice: None if self.is_dead else outlook(notice))

    def notify(self, notices: Sequence[Notice]) -> None:
        """See `Store.notify`; a dead process says nothing."""
        if not self.is_dead:
            self.inner.notify(notices)

    async def next_wake(self) -> int | None:
        """See `Store.next_wake`."""
        return await self._pass("next_wake", self.inner.next_wake)

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        return await self._pass("get_run", lambda: self.inner.get_run(run_id))

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`."""
        return await self._pass("history", lambda: self.inner.history(run_id, start))

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        return await self._pass("list_runs", lambda: self.inner.list_runs(query))

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        return await self._pass("count_runs", self.inner.count_runs)

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        return await self._pass("delete_runs", lambda: self.inner.delete_runs(run_ids))

    async def forget(self, before_us: int, limit: int) -> int:
        """See `Store.forget`."""
        return await self._pass("forget", lambda: self.inner.forget(before_us, limit))

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""
        return await self._pass("delete_finished", lambda: self.inner.delete_finished(before_us, limit))

    async def put_queue(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`."""
        await self._pass("put_queue", lambda: self.inner.put_queue(queue))

    async def delete_queue(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        return await self._pass("delete_queue", lambda: self.inner.delete_queue(name))

    async def list_queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        return await self._pass("list_queues", self.inner.list_queues)

    async def rank(self, run: RunRow) -> Rank:
        """See `Registry.rank`."""
        return await self._pass("rank", lambda: self.inner.rank(run))

    async def put_schedule(self, schedule: ScheduleRow) -> None:
        """See `Registry.put_schedule`."""
        await self._pass("put_schedule", lambda: self.inner.put_schedule(schedule))

    async def delete_schedule(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        return await self._pass("delete_schedule", lambda: self.inner.delete_schedule(schedule))

    async def list_schedules(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        return await self._pass("list_schedules", self.inner.list_schedules)

    async def next_schedule(self) -> int | None:
        """See `Registry.next_schedule`."""
        return await self._pass("next_schedule", self.inner.next_schedule)

    async def put_token(self, token: TokenRow) -> None:
        """See `Registry.put_token`."""
        await self._pass("put_token", lambda: self.inner.put_token(token))

    async def delete_token(self, hash_: bytes) -> bool:
        """See `Registry.delete_token`."""
        return await self._pass("delete_token", lambda: self.inner.delete_token(hash_))

    async def list_tokens(self) -> list[TokenRow]:
        """See `Registry.list_tokens`."""
        return await self._pass("list_tokens", self.inner.list_tokens)

    async def backup(self, target: Path) -> None:
        """See `Store.backup`."""
        await self._pass("backup", lambda: self.inner.backup(target))
