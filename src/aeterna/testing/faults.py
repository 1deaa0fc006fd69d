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
from aeterna.durable.stores.contract import Outcome, Page, RunQuery, RunRow, Store, Write

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
    """A `Store` over another one, with ``gate`` before and after every call. `die` cuts the two apart for good.

    ``gate_at_once`` stands before and after `commit_at_once`; without one, every commit passes through ``gate``,
    unless that is open too.
    """

    def __init__(self, inner: Store, gate: Gate = open_gate, gate_at_once: GateAtOnce | None = None) -> None:
        self.inner = inner
        self.description = inner.description
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

    async def open(self) -> None:
        """See `Store.open`."""
        await self._pass("open", self.inner.open)

    async def close(self) -> None:
        """See `Store.close`; a dead process does not close."""
        await self._pass("close", self.inner.close)

    async def open_session(self, at_us: int, host: str, pid: int) -> int:
        """See `Store.open_session`."""
        return await self._pass("open_session", lambda: self.inner.open_session(at_us, host, pid))

    async def close_session(self, session: int, at_us: int) -> None:
        """See `Store.close_session`."""
        await self._pass("close_session", lambda: self.inner.close_session(session, at_us))

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

    async def claim(self, session: int, now_us: int, limit: int) -> list[RunRow]:
        """See `Store.claim`."""
        return await self._pass("claim", lambda: self.inner.claim(session, now_us, limit))

    async def claim_run(self, session: int, run_id: str) -> RunRow | None:
        """See `Store.claim_run`."""
        return await self._pass("claim_run", lambda: self.inner.claim_run(session, run_id))

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

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""
        return await self._pass("delete_finished", lambda: self.inner.delete_finished(before_us, limit))

    async def backup(self, target: Path) -> None:
        """See `Store.backup`."""
        await self._pass("backup", lambda: self.inner.backup(target))
