"""Schedules over HTTP: put, look at, pause, trigger, backfill."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from aeterna.durable.core import codec
from aeterna.durable.core.schedule import ScheduleSpec
from aeterna.durable.operations import schedules
from aeterna.durable.operations.requests import schedule_record
from aeterna.durable.operations.schedules import Schedule
from aeterna.server.auth import Identity
from aeterna.server.http import bodies, standing
from aeterna.server.http.gate import Caller, Newcomer, ScheduleId, may, may_make
from aeterna.server.http.keys import IdempotencyKey, named_after
from aeterna.server.incoming import check_schedule
from aeterna.server.redaction import schedule_without_payloads

COMING_MAX = 1_000
Json = dict[str, Any]
Coming = Annotated[int, Query(ge=1, le=COMING_MAX, description="so many of its next times")]

router = APIRouter(tags=["schedules"])
may_pause_schedule = may("pause_schedule")
may_list_schedules = may("list_schedules")
may_get_schedule = may("get_schedule")
may_put_schedule = may_make("put_schedule")
may_delete_schedule = may("delete_schedule")
may_trigger_schedule = may("trigger_schedule")
may_backfill_schedule = may("backfill_schedule")


@router.get("/schedules", response_model=standing.Schedules)
async def list_schedules(caller: Caller = may_list_schedules) -> Json:
    """All schedules, by id; backfills that are not done are among them."""
    found = await schedules.list_schedules(caller.desk)
    return {"schedules": [_record(each, caller.identity) for each in found]}


@router.get("/schedules/{schedule_id}", response_model=standing.Schedule)
async def get_schedule(schedule_id: ScheduleId, caller: Caller = may_get_schedule, coming: Coming = 5) -> Json:
    """One schedule and its next times."""
    return _record(await schedules.get_schedule(caller.desk, schedule_id, coming=coming), caller.identity)


@router.put("/schedules/{schedule_id}", response_model=standing.Schedule)
async def put_schedule(schedule_id: ScheduleId, body: bodies.Schedule, caller: Newcomer = may_put_schedule) -> Json:
    """Create a schedule or replace what it starts and when. It fires first at its first time from now on; to put
    what is there already changes nothing."""
    _, spec = check_schedule(schedule_id, _spec(body, caller.payload_bytes_max), caller.payload_bytes_max)
    put = await schedules.put_schedule(await caller.desk(), schedule_id, spec, is_paused=body.is_paused)
    return _record(put, caller.identity)


@router.delete("/schedules/{schedule_id}", response_model=standing.WasThere)
async def delete_schedule(schedule_id: ScheduleId, caller: Caller = may_delete_schedule) -> Json:
    """Delete a schedule; runs that it started stay."""
    return {"deleted": await schedules.delete_schedule(caller.desk, schedule_id)}


@router.post("/schedules/{schedule_id}/pause", response_model=standing.Schedule)
async def pause_schedule(schedule_id: ScheduleId, caller: Caller = may_pause_schedule) -> Json:
    """Let a schedule fire no more until it is resumed; runs that it started go on."""
    await schedules.pause_schedule(caller.desk, schedule_id)
    return _record(await schedules.get_schedule(caller.desk, schedule_id), caller.identity)


@router.post("/schedules/{schedule_id}/resume", response_model=standing.Schedule)
async def resume_schedule(schedule_id: ScheduleId, caller: Caller = may_pause_schedule) -> Json:
    """Let a schedule fire again, from its first time from now on: what the pause left out is left out."""
    await schedules.resume_schedule(caller.desk, schedule_id)
    return _record(await schedules.get_schedule(caller.desk, schedule_id), caller.identity)


@router.post("/schedules/{schedule_id}/trigger", response_model=standing.Triggered)
async def trigger_schedule(
    schedule_id: ScheduleId,
    caller: Caller = may_trigger_schedule,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """Start a run of a schedule now, whatever its times, its overlap policy and its pause."""
    run_id = named_after(idempotency_key, "trigger", schedule_id) or None
    return {"run": await schedules.trigger_schedule(caller.desk, schedule_id, run_id=run_id)}


@router.post("/schedules/{schedule_id}/backfill", response_model=standing.Backfilled)
async def backfill_schedule(
    schedule_id: ScheduleId, body: bodies.Backfill, caller: Caller = may_backfill_schedule
) -> Json:
    """Start the runs of past times. They have the ids they would have had, so those that exist are not started
    again."""
    wanted = (schedule_id, body.start_us, body.end_us, body.overlap)
    return {"schedule": await schedules.backfill_schedule(caller.desk, *wanted)}


def _record(found: Schedule, identity: Identity) -> Json:
    return schedule_record(found if identity.sees_payloads else schedule_without_payloads(found))


def _spec(body: bodies.Schedule, bytes_max: int) -> ScheduleSpec:
    fields = body.model_dump(exclude={"args", "kwargs", "is_paused", "cron", "requires"})
    arguments = codec.encode([body.args, body.kwargs], "the arguments of the schedule's runs", bytes_max)
    return ScheduleSpec(arguments=arguments, cron=tuple(body.cron), requires=tuple(body.requires), **fields)
