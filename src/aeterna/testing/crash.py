"""Crash injection: a store that ends its process, for good, right before or right after a chosen write.

Wrap the store of an `App` in a `KillingStore` and run the program again and again, with the crash point one further
each time: wherever the process dies, the next one must finish the work. Two granularities, both honest:

* as they come: one commit of the engine is one commit of the inner store, with everything that queued for it;
* ``split=True``: every commit is cut into commits of one event (or one created run, or one change of a run's row) each,
  so that every event boundary of every history becomes a commit boundary. That is stricter than what a store promises,
  which keeps a commit together: nothing of the engine may rest on two events being in one commit. These commits never
  take the short way of `Store.commit_at_once`; without ``split`` they take whichever the inner store offers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import msgspec

from aeterna.durable.stores.contract import Append, FencedOff, FullStore, Outcome, Sealed, Write
from aeterna.testing.faults import FaultyStore, Moment, StoreCall

COMMITTING = frozenset({"commit", "commit_at_once"})
WRITING = COMMITTING | {
    "open_session",
    "close_session",
    "claim",
    "claim_run",
    "delete_runs",
    "delete_finished",
    "forget",
}
"""The methods of the contract that may change the store."""


class Counted(StrEnum):
    """What is counted: ``COMMITS`` with something to write, or all ``WRITES``: those, and every call of another method
    that may change the store (sessions, claims, deletions), whether it finds something to change or not."""

    COMMITS = "commits"
    WRITES = "writes"


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """The ``number``-th commit or write (from 1), and on which side of it to crash.

    BEFORE: its effect is absent. AFTER: it is there, and nobody has been told.
    """

    number: int
    moment: Moment
    counted: Counted = Counted.COMMITS


def kill_process() -> None:
    """End this process by SIGKILL: no handler, no ``finally`` block and no buffer gets another turn."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillingStore(FaultyStore):
    """A `Store` that hands everything on to ``inner`` and crashes at ``kill_at`` (None = never).

    ``crash`` is called there; if it returns, the store is cut off as by `FaultyStore.die`: the call and all later ones
    raise `SimulatedCrash`. So ``crash=lambda: None`` raises instead of killing. ``split``: see the module.
    ``commits`` and ``writes`` count what has begun so far.
    """

    def __init__(
        self,
        inner: FullStore,
        kill_at: CrashPoint | None = None,
        *,
        crash: Callable[[], None] = kill_process,
        split: bool = False,
    ) -> None:
        super().__init__(inner, self._count_and_crash, None if split else self._count_and_crash_at_once)
        self.commits = 0
        self.writes = 0
        # What was counted at the beginning of a call under way: another one may begin before it ends.
        self._counted: dict[int, tuple[int, int]] = {}
        self._kill_at = kill_at
        self._crash = crash
        self._split = split

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`; one transaction, or with ``split`` one per event. Without writes nothing is counted."""
        if not writes:
            return []
        if not self._split:
            return await super().commit(writes)
        return [await self._commit_split(write) for write in writes]

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """See `Store.commit_at_once`; what the inner store leaves to `commit` is counted there."""
        if not writes:
            return []
        counted = self.commits, self.writes
        outcomes = super().commit_at_once(writes)
        if outcomes is None:
            self.commits, self.writes = counted
        return outcomes

    async def _commit_split(self, write: Write) -> Outcome:
        outcome: Outcome = FencedOff()
        for part in _parts(write):
            [outcome] = await super().commit([part])
            if isinstance(outcome, FencedOff):
                break
        return outcome

    async def _count_and_crash(self, call: StoreCall) -> None:
        if call.method in WRITING:
            self._count_and_crash_at_once(call)

    def _count_and_crash_at_once(self, call: StoreCall) -> bool:
        is_commit = call.method in COMMITTING
        if call.moment is Moment.BEFORE:
            self.writes += 1
            self.commits += is_commit
            self._counted[call.number] = commit, write = self.commits, self.writes
        else:
            commit, write = self._counted.pop(call.number)
        point = self._kill_at
        if point is not None and point.moment is call.moment and point.number == _number(point, call, commit, write):
            self._crash()
            self.die()
        return True


def _number(point: CrashPoint, call: StoreCall, commit: int, write: int) -> int | None:
    """The call's number among what the point counts; None if it is not counted."""
    match point.counted:
        case Counted.COMMITS:
            return commit if call.method in COMMITTING else None
        case Counted.WRITES:
            return write
        case _:
            assert_never(point.counted)


def _parts(write: Write) -> Iterator[Write]:
    """The same change as writes of one event each; a changed head goes with the last."""
    if not isinstance(write, Append) or isinstance(write.events, Sealed) or len(write.events) <= 1:
        yield write
        return
    last = len(write.events) - 1
    for index, event in enumerate(write.events):
        head, consumed = (write.head, write.consumed) if index == last else (None, ())
        yield msgspec.structs.replace(write, first=write.first + index, events=(event,), head=head, consumed=consumed)
