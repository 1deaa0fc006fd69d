"""Takes over runs that nobody owns: those of dead sessions at first, then released ones that are due, and queued
ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.background import as_callback
from aeterna.durable.engine.journal import RETRY_FIRST_S, RETRY_LONGEST_S
from aeterna.durable.engine.messages import keep_from_starting
from aeterna.durable.engine.program import WorkflowDefinition
from aeterna.durable.engine.queue_waits import Queues, queue_waits
from aeterna.durable.engine.timers import Alarm
from aeterna.durable.stores.contract import ANY, Append, Choice, Head, Message, RunRow
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreCorruptError, StoreError, UnknownWorkflowError

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine
    from aeterna.durable.engine.runner import Runner

log = logging.getLogger("aeterna.engine")

CLAIM_BATCH = 500
EVENTS_PER_TURN = 5_000
"""Replaying so many takes about 50 ms, in which the loop does nothing else."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run of this session that is ready to come into memory."""

    row: RunRow
    definition: WorkflowDefinition
    history: list[AnyEvent]
    messages: list[Message]


class Claims:
    """The claiming service of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_needed = asyncio.Event()
        self._is_needed.set()
        self._alarm: Alarm | None = None
        self._is_queueing = False
        self._may_be_limited = engine.options.tends_store
        self._is_limited = False
        self._wanted: list[str] = []
        self.exclusive = asyncio.Lock()
        """Held from claiming a run until it is in memory. A session may claim its own run again, which makes the
        epoch of the first claim worthless, so two claims of one run must never overlap."""
        options = engine.options
        self.choice = ANY
        if engine.store.is_shared:
            # Alone, this process also takes what it cannot execute, to say so in the run's row.
            self.choice = Choice(engine.program.places(), options.queues, options.capabilities)

    def look(self) -> None:
        """There may be something to claim."""
        self._is_needed.set()

    def arrived(self) -> None:
        """Runs were created, or limits of a queue changed."""
        self._may_be_limited = self._engine.options.tends_store
        self._is_needed.set()

    def slot_freed(self) -> None:
        """A run ended, here or elsewhere, which may let another one of its queue start."""
        if self._is_limited:
            self._is_needed.set()

    def look_when_free(self) -> None:
        """There is something to claim, but no room for it now."""
        self._is_queueing = True

    def queued(self) -> None:
        """A run was created that nobody executes yet. Room may have been made, and looked for in vain, before its
        commit."""
        self._is_queueing = True
        self._may_be_limited = self._engine.options.tends_store
        self.room_made()

    def room_made(self) -> None:
        """A run ended, left memory, or began to wait."""
        if self._is_queueing and self._engine.residents.room > 0:
            self._is_queueing = False
            self._is_needed.set()

    def take_back(self, run_id: str) -> None:
        """Claim this run whatever its row says of when."""
        self._wanted.append(run_id)
        self._is_needed.set()

    async def serve(self) -> None:
        """Claim for ever; ends by cancellation. A store in trouble is asked again until it is well."""
        pause_s = RETRY_FIRST_S
        while True:
            await self._is_needed.wait()
            self._is_needed.clear()
            try:
                await self._claim()
            except StoreError as error:
                log.error("claiming runs failed, will try again: %s", error, extra={"action": "claim_failed"})
                self._is_needed.set()
                await sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_LONGEST_S)
            else:
                pause_s = RETRY_FIRST_S

    async def _claim(self) -> None:
        engine = self._engine
        while self._wanted:
            await self.fetch(self._wanted.pop())
        room = engine.residents.room
        if room <= 0:
            self.look_when_free()
            return
        async with self.exclusive:
            rows = await engine.store.claim(engine.session, engine.clock.now_us(), min(room, CLAIM_BATCH), self.choice)
            try:
                await self.load(rows)
            except StoreError:
                # They are this session's now, and no claim will find them again.
                self._wanted.extend(row.id for row in rows if engine.residents.get(row.id) is None)
                raise
        if rows:
            self._is_needed.set()
        else:
            await self._set_alarm()

    async def fetch(self, run_id: str) -> Runner | None:
        """The run, brought into memory if it is not there. None if that cannot be: it has ended, its code is not
        here, or another session owns it."""
        engine = self._engine
        async with self.exclusive:
            if engine.residents.get(run_id) is None:
                with self.owning(run_id):
                    row = await engine.store.claim_run(engine.session, run_id)
                    if row is not None:
                        await self.load([row])
        return engine.residents.get(run_id)

    async def park(self, run_id: str) -> None:
        """See to a run that has not begun and is asked to end or to pause: that must not wait for its turn."""
        engine = self._engine
        row = await engine.store.get_run(run_id)
        if row is None or row.owner is not None:
            return
        if keep_from_starting(row, await engine.store.inbox(run_id), engine.clock.now_us()) is not None:
            await self.fetch(run_id)

    @contextmanager
    def owning(self, run_id: str) -> Iterator[None]:
        """Around what claims a run and deals with it: where that fails halfway, or is cancelled, the run is this
        session's and not in memory, and no claim would find it again."""
        try:
            yield
        except BaseException:
            self.take_back(run_id)
            raise

    async def load(self, rows: Sequence[RunRow]) -> None:
        """Bring claimed runs into memory and let them go on. Call it while holding `exclusive`.

        As many at a time as one turn of the loop should take, so that what they record first shares a commit."""
        claimed: list[Claimed] = []
        events = 0
        for row in rows:
            run = await self._read(row)
            if run is not None:
                claimed.append(run)
                events += len(run.history)
            if events >= EVENTS_PER_TURN:
                await self._adopt(claimed)
                claimed, events = [], 0
        if claimed:
            await self._adopt(claimed)

    async def _read(self, row: RunRow) -> Claimed | None:
        """The run as it is to be executed here, None if it cannot be."""
        program = self._engine.program
        messages = await self._engine.store.inbox(row.id)
        write = keep_from_starting(row, messages, self._engine.clock.now_us())
        if write is not None:
            await self._engine.store.commit([write])
            if write.head is not None and write.head.state.is_final:
                self._engine.lookout.ended_unseen(row)
            return None
        definition = program.find(row.workflow, row.version)
        if definition is None or not (row.parent or program.serves(definition)):
            await self._leave_alone(row, self._why_unknown(row))
            return None
        try:
            return Claimed(row, definition, await self._engine.store.history(row.id), messages)
        except StoreCorruptError as error:
            await self._leave_alone(row, f"its history cannot be read: {error}")
            return None

    async def _adopt(self, claimed: Sequence[Claimed]) -> None:
        engine = self._engine

        def adopt() -> None:
            for run in claimed:
                engine.adopt(
                    run.row, run.row.id, run.definition, run.history, run.messages, taken_over_by=engine.session
                )

        await as_callback(adopt)

    async def _set_alarm(self) -> None:
        wake_us = await self._engine.store.next_wake()
        if self._may_be_limited:
            waits = await queue_waits(cast("Queues", self._engine.store), self._engine.clock.now_us())
            self._may_be_limited = self._is_limited = waits.is_limited
            wake_us = min((time for time in (wake_us, waits.next_us) if time is not None), default=None)
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if wake_us is None else self._engine.timers.at(wake_us, self.look)

    async def _leave_alone(self, row: RunRow, note: str) -> None:
        """The run stays as it is until a process comes that can execute it."""
        log.warning("run %s waits: %s", row.id, note, extra={"action": "run_unknown", "run_id": row.id})
        detail = Detail.QUEUED if row.state is State.PENDING else Detail.STUCK
        head = Head(row.state, detail, note=note)
        await self._engine.store.commit([Append(row.key, row.epoch, row.length, (), self._engine.clock.now_us(), head)])
        self._engine.waiters.fail(row.id, UnknownWorkflowError(f"run {row.id!r} cannot go on here: {note}"))

    def _why_unknown(self, row: RunRow) -> str:
        program = self._engine.program
        versions = program.versions(row.workflow)
        if row.version in versions:
            return f"workflow {row.workflow!r} is not among those that this process serves"
        if versions:
            return (
                f"the run is pinned to version {row.version!r} of workflow {row.workflow!r}, and this process has "
                f"{', '.join(map(repr, versions))}: register that version too"
            )
        known = ", ".join(map(repr, program.names())) or "none"
        return f"workflow {row.workflow!r} is not registered in this process (registered: {known})"
