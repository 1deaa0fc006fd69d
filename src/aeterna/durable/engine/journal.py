"""Group commit by draining.

One task takes whatever queued while the last commit ran and writes it as one transaction: no timer, no added latency,
and the batch grows with the load by itself. Creations of runs and appends to their logs share the transaction. When
the store cannot write, creations are refused to their callers at once, and appends are kept and tried again: they are
facts already."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from aeterna.durable.engine.run_log import RunLog
from aeterna.durable.stores.contract import Append, Created, CreateRun, Exists, FencedOff, Outcome, Store, Write
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import AeternaError, InvariantError, SessionOverError, StoreError

log = logging.getLogger("aeterna.journal")

WRITES_PER_COMMIT_MAX = 2048
RETRY_FIRST_S = 0.05
RETRY_LONGEST_S = 5.0


class Observer(Protocol):
    """Who hears about the store's health."""

    def store_failed(self, error: StoreError) -> None:
        """A commit failed; it will be tried again."""
        ...

    def store_recovered(self) -> None:
        """The first commit after a failure went through."""
        ...


Request = tuple[Write, asyncio.Future[Any]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction holds: the requests (creations above all) and appends, with who is to be told."""

    requests: list[Request]
    appends: list[tuple[RunLog, Append]]

    @property
    def writes(self) -> list[Write]:
        """The writes in their order: requests, then appends."""
        return [*(write for write, _ in self.requests), *(write for _, write in self.appends)]


class Journal:
    """The only writer of runs and histories of one engine.

    A commit runs in a plain callback of the loop where the store can do it at once, because switching to a task and
    back costs as much as a small commit; otherwise, and to try again after an error, in the task of `serve`."""

    def __init__(self, store: Store, clock: Clock, observer: Observer) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._logs: dict[RunLog, None] = {}
        self._requests: list[Request] = []
        self._barriers: list[asyncio.Future[None]] = []
        self._is_due = False
        self._handed: Batch | None = None
        self._wake = asyncio.Event()
        self._failure: StoreError | None = None
        self._ended: AeternaError | None = None

    def mark(self, run_log: RunLog) -> None:
        """The log has something to commit."""
        self._logs[run_log] = None
        self._call_turn()

    def create(self, write: CreateRun) -> asyncio.Future[Created | Exists]:
        """Create a run with the next commit; the future fails with the `StoreError` if that commit does."""
        return self.request(write)

    def request(self, write: Write) -> asyncio.Future[Any]:
        """Carry out any write with the next commit; the future has its outcome, or fails as that of `create`."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._ended is not None:
            future.set_exception(self._ended)
            return future
        if self._failure is not None and self._handed is not None:
            # A commit is being tried again and again; the caller is told at once, and can decide.
            future.set_exception(self._failure)
            return future
        self._requests.append((write, future))
        self._call_turn()
        return future

    async def barrier(self) -> None:
        """Until everything marked so far is committed and told."""
        if self._ended is not None:
            raise self._ended
        future: asyncio.Future[None] = self._loop.create_future()
        self._barriers.append(future)
        self._call_turn()
        await future

    def close(self) -> None:
        """Nothing is committed any more: whoever still waits for a commit hears it."""
        ended = AeternaError("the engine has stopped; nothing that was not acknowledged is recorded")
        self._ended = ended
        handed = [] if self._handed is None else self._handed.requests
        waiting: list[asyncio.Future[Any]] = [future for _, future in [*self._requests, *handed]]
        waiting.extend(self._barriers)
        for future in waiting:
            if not future.done():
                future.set_exception(ended)
                # Taken note of, so that one nobody waits for is not reported.
                future.exception()

    async def serve(self) -> None:
        """Carry out what a turn could not, for ever; ends by cancellation. Call `barrier` first to lose nothing."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = self._handed
            assert batch is not None
            outcomes = await self._commit(batch)
            told: asyncio.Future[None] = self._loop.create_future()
            # Workflow code must run in a plain callback, never inside another task: its own loop makes its own tasks
            # current.
            self._loop.call_soon(self._tell_and_go_on, batch, outcomes, told)
            await told

    def _call_turn(self) -> None:
        if not self._is_due and self._handed is None:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Commit whatever has queued by now."""
        self._is_due = False
        batch = self._take()
        writes = batch.writes
        outcomes: list[Outcome] | None = []
        if writes:
            try:
                outcomes = self._store.commit_at_once(writes)
            except Exception:  # noqa: BLE001 - nothing was written, and the task is the place to try again, or to fail
                outcomes = None
        if outcomes is None:
            self._handed = batch
            self._wake.set()
        else:
            self._succeeded()
            self._tell(batch, outcomes)
            self._go_on()

    def _take(self) -> Batch:
        logs = list(self._logs)[:WRITES_PER_COMMIT_MAX]
        requests: list[Request] = []
        if len(logs) == len(self._logs):
            # A child must not exist before what its parent had seen when it asked for it.
            requests = self._requests[:WRITES_PER_COMMIT_MAX]
            del self._requests[: len(requests)]
        now_us = self._clock.now_us()
        appends = []
        for run_log in logs:
            del self._logs[run_log]
            appends.append((run_log, run_log.take(now_us)))
        return Batch(requests, appends)

    def _go_on(self) -> None:
        if self._logs or self._requests:
            self._call_turn()
            return
        barriers, self._barriers = self._barriers, []
        for barrier in barriers:
            if not barrier.done():
                barrier.set_result(None)

    async def _commit(self, batch: Batch) -> list[Outcome]:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                outcomes = await self._store.commit(batch.writes)
            except StoreError as error:
                log.error("commit failed, will try again: %s", error, extra={"action": "commit_failed"})
                self._failure = error
                if not isinstance(error, SessionOverError):
                    # The runs of a session that is over go on elsewhere: whoever waits for one, waits on.
                    self._observer.store_failed(error)
                self._refuse(batch.requests, error)
                self._refuse(self._requests, error)
                if not batch.appends:
                    return []
                # Where the answer was lost and not the question, they are in the store already.
                batch.appends[:] = [
                    (each, msgspec.structs.replace(write, is_repeat=True)) for each, write in batch.appends
                ]
            else:
                self._succeeded()
                return outcomes
            await sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_LONGEST_S)

    def _succeeded(self) -> None:
        if self._failure is not None:
            self._failure = None
            self._observer.store_recovered()

    @staticmethod
    def _refuse(requests: list[Request], error: StoreError) -> None:
        """Fail the requests to their callers; appends are facts and stay."""
        for _, future in requests:
            if not future.done():
                future.set_exception(error)
        requests.clear()

    def _tell_and_go_on(self, batch: Batch, outcomes: list[Outcome], told: asyncio.Future[None]) -> None:
        self._handed = None
        if not told.done():
            told.set_result(None)
        self._tell(batch, outcomes)
        self._go_on()

    @staticmethod
    def _tell(batch: Batch, outcomes: list[Outcome]) -> None:
        requested = len(batch.requests)
        for (write, future), outcome in zip(batch.requests, outcomes, strict=False):
            if isinstance(write, CreateRun) and not isinstance(outcome, Created | Exists):
                raise InvariantError(f"the store answered {outcome!r} to a creation")
            if not future.done():
                future.set_result(outcome)
        for (run_log, write), outcome in zip(batch.appends, outcomes[requested:], strict=True):
            if isinstance(outcome, FencedOff):
                run_log.fenced()
            else:
                run_log.committed(write)
