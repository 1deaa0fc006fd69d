"""Group commit by draining, across everybody whom a server serves.

Whatever queued while the last commit ran is written as one transaction: the writes of many workers and clients share
it, and what one of them submitted together stays together. A store that can have several commits under way has as many
lanes; whoever submits stays in one lane, so that order holds.

A write that the store refuses as impossible must not take others with it: after such an error every submission is
tried by itself, and only the culprit hears of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from aeterna.durable.stores.contract import Outcome, Store, Write
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import AeternaError, InvariantError, StoreError

log = logging.getLogger("aeterna.committer")

WRITES_PER_COMMIT_MAX = 2048

Answer = list[Outcome] | AeternaError
Told = Callable[[Answer], None]
Observer = Callable[[Sequence[Write], Sequence[Outcome]], None]
Measured = Callable[[int, int], None]
"""Given after each commit: how many writes it had, and how long it took, in microseconds."""
Submission = tuple[Sequence[Write], Told]


class Committer:
    """The only writer of runs and histories of one namespace in this process.

    ``observer`` sees every submission that went through, before whoever submitted it."""

    def __init__(self, store: Store, observer: Observer, clock: Clock, measured: Measured = lambda *_: None) -> None:
        self._lanes = [_Lane(store, observer, clock, measured) for _ in range(store.commit_shards)]

    def submit(self, writes: Sequence[Write], told: Told, lane: int) -> None:
        """Carry the writes out, in order and in one transaction, and call ``told`` with their outcomes or the error,
        from a plain callback. Submissions of the same ``lane`` keep their order."""
        self._lanes[lane % len(self._lanes)].submit(writes, told)

    async def commit(self, write: Write, lane: int) -> Outcome:
        """Carry one write out; raises the error."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def told(answer: Answer) -> None:
            if future.done():
                return
            if isinstance(answer, AeternaError):
                future.set_exception(answer)
            else:
                future.set_result(answer[0])

        self.submit([write], told, lane)
        return await future

    async def serve(self) -> None:
        """Carry out what could not be done at once, for ever; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.serve())

    async def drain(self) -> None:
        """Until all that was submitted is carried out."""
        for lane in self._lanes:
            await lane.idle.wait()

    def close(self) -> None:
        """Nothing is carried out any more: who still waits, and who comes, hears it."""
        for lane in self._lanes:
            lane.close()


class _Lane:
    """One commit after another.

    A commit runs in a plain callback of the loop where the store can do it at once; otherwise in the task of
    `serve`."""

    def __init__(self, store: Store, observer: Observer, clock: Clock, measured: Measured) -> None:
        self._store = store
        self._clock = clock
        self._measured = measured
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._queue: list[Submission] = []
        self._handed: list[Submission] | None = None
        self._wake = asyncio.Event()
        self._is_due = False
        self._is_closed = False
        self.idle = asyncio.Event()
        self.idle.set()

    def submit(self, writes: Sequence[Write], told: Told) -> None:
        if self._is_closed:
            told(StoreError("the server is stopping; ask another one, or this one when it is back"))
            return
        self._queue.append((writes, told))
        self.idle.clear()
        self._call_turn()

    def close(self) -> None:
        self._is_closed = True
        queue, self._queue = [*(self._handed or ()), *self._queue], []
        self._handed = None
        for _, told in queue:
            told(StoreError("the server stopped before this was recorded"))
        self.idle.set()

    def _call_turn(self) -> None:
        if not self._is_due and self._handed is None:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        if self._is_closed:
            return
        batch = self._take()
        writes, began_us = _flat(batch), self._clock.monotonic_us()
        try:
            outcomes = self._store.commit_at_once(writes)
        except Exception:  # noqa: BLE001 - nothing was written, and the task is the place to try again or to fail
            outcomes = None
        if outcomes is None:
            self._handed = batch
            self._wake.set()
        else:
            self._measured(len(writes), self._clock.monotonic_us() - began_us)
            self._tell(batch, outcomes)
            self._go_on()

    def _take(self) -> list[Submission]:
        count = 0
        for index, (writes, _) in enumerate(self._queue):
            count += len(writes)
            if count > WRITES_PER_COMMIT_MAX and index:
                batch, self._queue = self._queue[:index], self._queue[index:]
                return batch
        batch, self._queue = self._queue, []
        return batch

    def _go_on(self) -> None:
        if self._queue:
            self._call_turn()
        else:
            self.idle.set()

    async def serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = self._handed
            if batch is None:
                continue
            answers = await self._carry_out(batch)
            if self._is_closed:
                return
            self._handed = None
            for submission, answer in zip(batch, answers, strict=True):
                self._tell_one(submission, answer)
            self._go_on()

    async def _carry_out(self, batch: list[Submission]) -> list[Answer]:
        """One answer for each submission."""
        answer = await self._attempt(_flat(batch))
        if isinstance(answer, StoreError) or len(batch) == 1:
            return [answer if isinstance(answer, AeternaError) else list(answer)] * len(batch)
        if isinstance(answer, AeternaError):
            return [await self._attempt(writes) for writes, _ in batch]
        return list(_shares(batch, answer))

    async def _attempt(self, writes: Sequence[Write]) -> Answer:
        began_us = self._clock.monotonic_us()
        try:
            outcomes = await self._store.commit(writes)
        except AeternaError as error:
            log.error("commit failed: %s", error, extra={"action": "commit_failed"})
            return error
        except Exception as error:
            log.exception("commit failed", extra={"action": "commit_failed"})
            return InvariantError(f"the store failed in an unexpected way: {type(error).__name__}: {error}")
        self._measured(len(writes), self._clock.monotonic_us() - began_us)
        return outcomes

    def _tell(self, batch: list[Submission], outcomes: list[Outcome]) -> None:
        for submission, share in zip(batch, _shares(batch, outcomes), strict=True):
            self._tell_one(submission, share)

    def _tell_one(self, submission: Submission, answer: Answer) -> None:
        writes, told = submission
        if not isinstance(answer, AeternaError):
            self._observer(writes, answer)
        told(answer)


def _flat(batch: list[Submission]) -> list[Write]:
    return [write for writes, _ in batch for write in writes]


def _shares(batch: list[Submission], outcomes: list[Outcome]) -> list[list[Outcome]]:
    shares = []
    start = 0
    for writes, _ in batch:
        end = start + len(writes)
        shares.append(outcomes[start:end])
        start = end
    return shares
