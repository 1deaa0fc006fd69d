"""Fires schedules that are due.

Any number of processes may serve the same schedules: a firing moves the schedule's row on from the time at which it
stood, in the transaction that creates the run, so only one of them succeeds. What is decided is decided by
``core.schedule``; here it is carried out. Nothing is kept in memory that matters: who comes later, or instead, goes on
from the rows.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple, assert_never

from msgspec import MsgspecError, json, structs

from aeterna.durable.core import events as ev
from aeterna.durable.core.schedule import Firing, LastRun, ScheduleSpec, Skip, Start, Timeline, Wait, decide
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.calendars import timeline
from aeterna.durable.engine.ending import Desk, end_by_force, end_unbegun
from aeterna.durable.stores.contract import (
    CreateRun,
    FencedOff,
    FireSchedule,
    MessageKind,
    Notice,
    NoticeKind,
    Post,
    Posted,
    RunRow,
    ScheduleRow,
)
from aeterna.kernel.errors import ConfigurationError, SerializationError, StoreError

log = logging.getLogger("aeterna.schedules")

LOOK_S = 2.0
"""Schedules that another process puts are found after so long, at the latest."""
LOOK_BLOCKED_S = 1.0
"""A firing waits for a run, and the notice of its end may be missed."""
FIRINGS_PER_TURN = 100
"""How often one schedule fires before the next one has its turn."""
_NOTHING = ev.Payload(b"jnull")


class _Turn(NamedTuple):
    """How a schedule stands after its turn: the run it waits for, or that there is more to do at once."""

    awaits: str | None = None
    is_behind: bool = False


class ScheduleService:
    """Fires the schedules of one namespace for as long as it is served."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._look = asyncio.Event()
        self._awaited: set[str] = set()
        self._broken: dict[str, str] = {}

    def on_notice(self, notice: Notice) -> None:
        """A schedule was changed, or a run ended that one waits for: look at once."""
        if notice.kind is NoticeKind.SCHEDULES or (notice.kind is NoticeKind.ENDED and notice.subject in self._awaited):
            self._look.set()

    async def serve(self) -> None:
        """Fire for ever; ends by cancellation. A store in trouble is asked again until it is well."""
        while True:
            self._look.clear()
            try:
                pause_s = await self.fire_due()
            except StoreError as error:
                log.error("schedules cannot be looked at, will try again: %s", error, extra={"action": "schedules"})
                pause_s = LOOK_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def fire_due(self) -> float | None:
        """Fire what is due now; returns after how many seconds to look again, None = when there is a notice."""
        store, clock = self._desk.store, self._desk.clock
        next_us = await store.next_schedule()
        if next_us is not None and next_us <= clock.now_us():
            turns = [await self._serve_row(row) for row in await store.list_schedules() if not row.is_paused]
            self._awaited = {turn.awaits for turn in turns if turn.awaits is not None}
            if any(turn.is_behind for turn in turns):
                return 0.0
            if self._awaited:
                return LOOK_BLOCKED_S
            next_us = await store.next_schedule()
            if next_us is not None and next_us <= clock.now_us():
                # One that cannot be read stays due.
                return LOOK_S
        if next_us is None:
            return LOOK_S if store.is_shared else None
        # The wall clock may be set meanwhile, so no sleep is long.
        return min((next_us - clock.now_us()) / 1e6, LOOK_S)

    async def _serve_row(self, row: ScheduleRow) -> _Turn:
        """Fire one schedule as often as it is due."""
        if self._broken.get(row.id) == row.spec:
            return _Turn()
        try:
            plan = timeline(row.id, read_spec(row))
        except (ConfigurationError, SerializationError) as error:
            self._broken[row.id] = row.spec
            log.error("schedule %s cannot fire: %s", row.id, error, extra={"action": "schedule_broken"})
            return _Turn()
        for _ in range(FIRINGS_PER_TURN):
            if row.next_us is None or row.next_us > self._desk.clock.now_us():
                break
            write = await self._write_for(plan, row, row.next_us)
            if write is None:
                return _Turn(awaits=row.last_run)
            if not await self._carry_out(write):
                # Another process fired it, or somebody changed it: its row says what is to be done now.
                return _Turn(is_behind=True)
            last_run = row.last_run if write.run is None else write.run.id
            row = structs.replace(row, next_us=write.next_us, last_run=last_run)
        if row.next_us is None and plan.spec.of is not None:
            await self._desk.store.delete_schedule(row.id)
        return _Turn(is_behind=row.next_us is not None and row.next_us <= self._desk.clock.now_us())

    async def _write_for(self, plan: Timeline, row: ScheduleRow, due_us: int) -> FireSchedule | None:
        """What one firing comes to, None if the last run is to end first."""
        now_us = self._desk.clock.now_us()
        last = await self._desk.store.get_run(row.last_run) if row.last_run else None
        decision = decide(plan, due_us, now_us, None if last is None else LastRun(last.finished_us))
        match decision:
            case Start():
                if decision.terminates and last is not None:
                    await end_by_force(self._desk, last.id, f"terminated: schedule {row.id} fires again")
                return FireSchedule(row.id, due_us, decision.next_us, creation(plan, decision.firing, now_us))
            case Skip():
                log.info("schedule %s skips: %s", row.id, decision.reason, extra={"action": "schedule_skipped"})
                return FireSchedule(row.id, due_us, decision.next_us, None)
            case Wait():
                if decision.cancels and last is not None:
                    await self._cancel(row.id, last, due_us)
                return None
            case _:
                assert_never(decision)

    async def _carry_out(self, write: FireSchedule) -> bool:
        if isinstance(await self._desk.commit(write), FencedOff):
            return False
        if write.run is not None:
            log.info("schedule %s fires %s", write.schedule, write.run.id, extra={"action": "schedule_fired"})
            self._desk.announce(Notice(NoticeKind.RUNS, write.run.queue))
        return True

    async def _cancel(self, schedule: str, last: RunRow, due_us: int) -> None:
        """Ask the last run to end, once for each firing that waits. One that has not begun needs not be asked."""
        reason = f"schedule {schedule} fires again"
        if last.state is State.PENDING and await end_unbegun(self._desk, last.id, reason):
            return
        message = f"schedule:{schedule}:{due_us}"
        post = Post(last.id, message, MessageKind.CANCEL, reason, _NOTHING, self._desk.clock.now_us())
        outcome = await self._desk.commit(post)
        if isinstance(outcome, Posted) and not outcome.is_duplicate:
            self._desk.announce(Notice(NoticeKind.INBOX, last.id))


def read_spec(row: ScheduleRow) -> ScheduleSpec:
    """The spec of a schedule's row; raises `SerializationError` if it is none, or one of a newer version."""
    try:
        return json.decode(row.spec, type=ScheduleSpec)
    except MsgspecError as error:
        raise SerializationError(f"schedule {row.id!r} cannot be read: {error}") from None


def creation(plan: Timeline, firing: Firing, now_us: int) -> CreateRun:
    """The run that a firing starts."""
    spec = plan.spec
    created = ev.RunCreated(now_us, spec.workflow, spec.version, spec.arguments)
    return CreateRun(
        plan.run_id(firing),
        spec.workflow,
        spec.version,
        State.PENDING,
        Detail.QUEUED,
        None,
        (created,),
        queue=spec.queue,
        priority=spec.priority,
        share=spec.share,
        requires=spec.requires,
    )
