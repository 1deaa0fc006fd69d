"""Schedules: put, list, pause, trigger, backfill."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from msgspec import json, structs

from aeterna.durable.core.moments import iso_utc
from aeterna.durable.core.schedule import ALWAYS_US, Firing, Overlap, ScheduleSpec, Timeline
from aeterna.durable.engine.calendars import timeline
from aeterna.durable.engine.coordinator.schedules import creation, read_spec
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import FencedOff, FireSchedule, Notice, NoticeKind, ScheduleRow
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import (
    ConfigurationError,
    InvalidStateError,
    LimitExceededError,
    ScheduleNotFoundError,
    UsageError,
)

TRIES_MAX = 10
"""A row that changes each time it is to be changed is somebody's mistake."""
BACKFILL_MAX = 10_000
"""So many runs one backfill starts at most. What asks for more is a slip of the pen, or is to be done in parts."""
_COUNTED_AT_ONCE = 200
"""While times are counted, others have their turn after so many."""


class Schedule(NamedTuple):
    """A schedule as it stands; ``coming_us``: the next times at which it fires."""

    row: ScheduleRow
    spec: ScheduleSpec
    coming_us: tuple[int, ...]


@forwarded
async def put_schedule(world: World, schedule: str, spec: ScheduleSpec, *, is_paused: bool | None = None) -> Schedule:
    """Create a schedule or change it. It fires first at its first time from now on; a changed one keeps its last run,
    and, where ``is_paused`` is None, whether it is paused. To put what is there already changes nothing, so that a
    program may put its schedules whenever it starts and still catch up on what it missed.

    Raises `ConfigurationError` for a spec that means nothing or has no time to fire."""
    plan = timeline(schedule, spec)
    next_us = plan.next_us(world.clock.now_us())
    if next_us is None and plan.next_us(0) is None:
        raise ConfigurationError(f"schedule {schedule!r} cannot be: it would never fire")
    known = await _find(world, schedule)
    paused = (known is not None and known.is_paused) if is_paused is None else is_paused
    row = ScheduleRow(schedule, _text(spec), next_us, paused, "" if known is None else known.last_run)
    if known is not None and (known.spec, known.is_paused) == (row.spec, paused):
        return _view(world, known)
    await world.store.put_schedule(row)
    world.announce(Notice(NoticeKind.SCHEDULES, schedule))
    return _view(world, row)


async def update_schedule(world: World, schedule: str, change: Callable[[ScheduleSpec], ScheduleSpec]) -> Schedule:
    """Change what is to be changed of a spec and keep the rest; raises as `put_schedule`, and if there is none."""
    return await put_schedule(world, schedule, change((await get_schedule(world, schedule)).spec))


@forwarded
async def list_schedules(world: World) -> list[Schedule]:
    """All schedules, by id; backfills that are not done are among them."""
    return [_view(world, row) for row in await world.store.list_schedules()]


@forwarded
async def get_schedule(world: World, schedule: str, *, coming: int = 5) -> Schedule:
    """One schedule, with its next times; raises `ScheduleNotFoundError` if there is none."""
    return _view(world, await _get(world, schedule), coming)


@forwarded
async def delete_schedule(world: World, schedule: str) -> bool:
    """Delete a schedule; runs that it started stay. False if there was none."""
    was_there = await world.store.delete_schedule(schedule)
    world.announce(Notice(NoticeKind.SCHEDULES, schedule))
    return was_there


@forwarded
async def pause_schedule(world: World, schedule: str) -> None:
    """Let it fire no more until it is resumed; runs that it started go on."""
    row = await _get(world, schedule)
    await world.store.put_schedule(structs.replace(row, is_paused=True))
    world.announce(Notice(NoticeKind.SCHEDULES, schedule))


@forwarded
async def resume_schedule(world: World, schedule: str) -> None:
    """Let it fire again, from its first time from now on: what the pause left out is left out."""
    row = await _get(world, schedule)
    next_us = row.next_us if read_spec(row).of else _plan(row).next_us(world.clock.now_us())
    await world.store.put_schedule(structs.replace(row, is_paused=False, next_us=next_us))
    world.announce(Notice(NoticeKind.SCHEDULES, schedule))


@forwarded
async def trigger_schedule(world: World, schedule: str, *, now_us: int | None = None, run_id: str | None = None) -> str:
    """Start a run of it now, whatever its times, its overlap policy and its pause; returns the run's id. The run counts
    as the last one: what fires next meets it.

    ``now_us``: the time that makes the run's id; the same time is the same run. ``run_id``: the id itself; a run that
    has it already is not started again."""
    for _ in range(TRIES_MAX):
        row = await _get(world, schedule)
        at_us = world.clock.now_us() if now_us is None else now_us
        run = creation(_plan(row), Firing(at_us, at_us), world.clock.now_us())
        run = run if run_id is None else structs.replace(run, id=run_id)
        # It moves the row to where it stands: nothing changes but its last run, and only if nobody fires meanwhile.
        due_us = row.next_us
        write = run if due_us is None else FireSchedule(schedule, due_us, due_us, run)
        if not isinstance(await world.commit(write), FencedOff):
            world.announce(Notice(NoticeKind.RUNS, run.queue), Notice(NoticeKind.SCHEDULES, schedule))
            return run.id
    raise InvalidStateError(f"schedule {schedule!r} changed {TRIES_MAX} times while it was to be triggered; try again")


@forwarded
async def backfill_schedule(
    world: World, schedule: str, start_us: int, end_us: int, overlap: Overlap = Overlap.BUFFER_ALL
) -> str:
    """Start the runs of all times between two times in the past, both included; returns the id of the schedule that
    does it, which stands beside the others until it is done.

    The runs have the ids they would have had, so those that exist are not started again. ``overlap``: one after the
    other (``buffer_all``) or all at once (``allow_all``). Raises `UsageError` for others, and if there is no such time,
    `LimitExceededError` for more than `BACKFILL_MAX` of them, and `ScheduleNotFoundError`.
    """
    _check_backfill(world, end_us, overlap)
    spec = _repeating(schedule, read_spec(await _get(world, schedule)), start_us, end_us, overlap)
    backfill = f"{schedule}~{iso_utc(start_us)}~{iso_utc(end_us)}"
    plan = timeline(backfill, spec)
    next_us = plan.next_us(start_us - 1)
    if next_us is None:
        raise UsageError(f"schedule {schedule!r} has no time from {iso_utc(start_us)} to {iso_utc(end_us)}")
    await _check_count(schedule, plan, start_us, end_us)
    await world.store.put_schedule(ScheduleRow(backfill, _text(spec), next_us))
    world.announce(Notice(NoticeKind.SCHEDULES, backfill))
    return backfill


def _check_backfill(world: World, end_us: int, overlap: Overlap) -> None:
    if overlap not in (Overlap.BUFFER_ALL, Overlap.ALLOW_ALL):
        raise UsageError(
            f"a backfill cannot have the overlap policy {overlap.value!r}, which would leave out runs: "
            "use buffer_all (one after the other) or allow_all (all at once)"
        )
    if end_us > world.clock.now_us():
        raise UsageError(f"a backfill ends at {iso_utc(end_us)}, which has not come: the schedule itself fires then")


async def _check_count(schedule: str, plan: Timeline, start_us: int, end_us: int) -> None:
    times = islice(plan.coming(start_us - 1), BACKFILL_MAX + 1)
    for number, firing in enumerate(times):
        if number == BACKFILL_MAX:
            raise LimitExceededError(
                f"a backfill starts at most {BACKFILL_MAX:,} runs, and schedule {schedule!r} has more times from "
                f"{iso_utc(start_us)} to {iso_utc(end_us)}: do it in parts; the first one may end before "
                f"{iso_utc(firing.nominal_us)}"
            )
        if number % _COUNTED_AT_ONCE == 0:
            await sleep(0)


def _repeating(schedule: str, spec: ScheduleSpec, start_us: int, end_us: int, overlap: Overlap) -> ScheduleSpec:
    """The spec of a backfill: the same times, late as they are."""
    return structs.replace(
        spec,
        of=schedule,
        jitter_us=0,
        start_us=start_us,
        end_us=end_us,
        overlap=overlap,
        catch_up_us=ALWAYS_US,
    )


def _text(spec: ScheduleSpec) -> str:
    return json.encode(spec).decode()


def _plan(row: ScheduleRow) -> Timeline:
    return timeline(row.id, read_spec(row))


def _view(world: World, row: ScheduleRow, coming: int = 1) -> Schedule:
    spec = read_spec(row)
    if row.next_us is None:
        return Schedule(row, spec, ())
    start_us = max(row.next_us, world.clock.now_us()) - 1
    times = islice(timeline(row.id, spec).coming(start_us), coming)
    return Schedule(row, spec, tuple(firing.fires_us for firing in times))


async def _find(world: World, schedule: str) -> ScheduleRow | None:
    return next((row for row in await world.store.list_schedules() if row.id == schedule), None)


async def _get(world: World, schedule: str) -> ScheduleRow:
    row = await _find(world, schedule)
    if row is None:
        raise ScheduleNotFoundError(f"there is no schedule {schedule!r}")
    return row
