"""The operations on queues and schedules, and `why`, as requests and answers in JSON.

Whoever has the store's world carries them out: the process that owns a store file (through its control socket), a
command that opened the store itself, or a server. One table, so that all of them understand the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from aeterna.durable.core.schedule import Overlap, ScheduleSpec
from aeterna.durable.operations import queues, schedules
from aeterna.durable.operations.event_records import value_of
from aeterna.durable.operations.schedules import Schedule
from aeterna.durable.operations.why import why
from aeterna.durable.operations.world import World
from aeterna.durable.stores.contract import QueueRow, QueueState
from aeterna.kernel.errors import UsageError

Answer = dict[str, Any]


class PutQueue(msgspec.Struct, tag_field="op", tag="queue.put", forbid_unknown_fields=True):
    """Create a queue, or change the limits that are given; ``unlimited``: those to be lifted."""

    name: str
    limits: dict[str, int] = {}
    unlimited: tuple[str, ...] = ()


class NameQueue(msgspec.Struct, forbid_unknown_fields=True):
    """About one queue."""

    name: str


class DeleteQueue(NameQueue, tag_field="op", tag="queue.delete"):
    """Forget its limits."""


class PauseQueue(NameQueue, tag_field="op", tag="queue.pause"):
    """Let nothing of it start."""


class ResumeQueue(NameQueue, tag_field="op", tag="queue.resume"):
    """Let its runs start again."""


class ListQueues(msgspec.Struct, tag_field="op", tag="queue.list", forbid_unknown_fields=True):
    """All queues."""


class PutSchedule(msgspec.Struct, tag_field="op", tag="schedule.put", forbid_unknown_fields=True):
    """Create a schedule or replace its spec."""

    id: str
    spec: ScheduleSpec
    is_paused: bool | None = None


class ListSchedules(msgspec.Struct, tag_field="op", tag="schedule.list", forbid_unknown_fields=True):
    """All schedules."""


class NameSchedule(msgspec.Struct, forbid_unknown_fields=True):
    """About one schedule."""

    id: str


class GetSchedule(NameSchedule, tag_field="op", tag="schedule.get"):
    """One schedule and its next times."""

    coming: int = 5


class DeleteSchedule(NameSchedule, tag_field="op", tag="schedule.delete"):
    """Delete it."""


class PauseSchedule(NameSchedule, tag_field="op", tag="schedule.pause"):
    """Let it fire no more."""


class ResumeSchedule(NameSchedule, tag_field="op", tag="schedule.resume"):
    """Let it fire again."""


class TriggerSchedule(NameSchedule, tag_field="op", tag="schedule.trigger"):
    """Start a run of it now."""


class BackfillSchedule(NameSchedule, tag_field="op", tag="schedule.backfill"):
    """Start the runs of past times."""

    start_us: int
    end_us: int
    overlap: Overlap = Overlap.BUFFER_ALL


class AskWhy(msgspec.Struct, tag_field="op", tag="why", forbid_unknown_fields=True):
    """What a run waits for."""

    id: str


Request = (
    PutQueue
    | DeleteQueue
    | PauseQueue
    | ResumeQueue
    | ListQueues
    | PutSchedule
    | ListSchedules
    | GetSchedule
    | DeleteSchedule
    | PauseSchedule
    | ResumeSchedule
    | TriggerSchedule
    | BackfillSchedule
    | AskWhy
)


async def answer(world: World, request: dict[str, Any]) -> Answer:
    """Carry out a request; raises `UsageError` if it is none, and what the operation raises."""
    try:
        understood = msgspec.convert(request, type=Request)
    except msgspec.ValidationError as error:
        raise UsageError(f"the request cannot be understood: {error}") from None
    return await _HANDLERS[type(understood)](world, understood)


async def _put_queue(world: World, request: PutQueue) -> Answer:
    known = await queues.find_queue(world, request.name)
    fields = msgspec.to_builtins(QueueRow(request.name) if known is None else known.queue)
    fields |= request.limits | dict.fromkeys(request.unlimited)
    try:
        row = msgspec.convert(fields, type=QueueRow)
    except msgspec.ValidationError as error:
        raise UsageError(f"queue {request.name!r} cannot be put: {error}") from None
    await queues.put_queue(world, row)
    return {"queue": msgspec.to_builtins(row)}


async def _delete_queue(world: World, request: DeleteQueue) -> Answer:
    return {"deleted": await queues.delete_queue(world, request.name)}


async def _pause_queue(world: World, request: PauseQueue) -> Answer:
    await queues.pause_queue(world, request.name)
    return {}


async def _resume_queue(world: World, request: ResumeQueue) -> Answer:
    await queues.resume_queue(world, request.name)
    return {}


async def _list_queues(world: World, _: ListQueues) -> Answer:
    return {"queues": [queue_record(state) for state in await queues.list_queues(world)]}


def queue_record(state: QueueState) -> Answer:
    """A queue, its limits and how it stands, as JSON."""
    limits: Answer = msgspec.to_builtins(state.queue)
    return limits | {"pending": state.pending, "running": state.running, "oldest_us": state.oldest_us}


async def _put_schedule(world: World, request: PutSchedule) -> Answer:
    return schedule_record(await schedules.put_schedule(world, request.id, request.spec, is_paused=request.is_paused))


async def _list_schedules(world: World, _: ListSchedules) -> Answer:
    return {"schedules": [schedule_record(found) for found in await schedules.list_schedules(world)]}


async def _get_schedule(world: World, request: GetSchedule) -> Answer:
    return schedule_record(await schedules.get_schedule(world, request.id, coming=request.coming))


def schedule_record(found: Schedule) -> Answer:
    """A schedule and its next times, as JSON; ``args`` and ``kwargs`` are those of its runs."""
    row = found.row
    spec: Answer = msgspec.to_builtins(found.spec)
    del spec["arguments"]
    args, kwargs = _arguments(value_of(found.spec.arguments))
    return {
        "id": row.id,
        "spec": spec | {"args": args, "kwargs": kwargs},
        "is_paused": row.is_paused,
        "last_run": row.last_run,
        "next_us": row.next_us,
        "coming_us": list(found.coming_us),
    }


def _arguments(value: Any) -> tuple[Any, Any]:
    """What is hidden from those who may not see it, or was put as something else, is shown as it is."""
    match value:
        case [list() as args, dict() as kwargs]:
            return args, kwargs
        case _:
            return [value], {}


async def _delete_schedule(world: World, request: DeleteSchedule) -> Answer:
    return {"deleted": await schedules.delete_schedule(world, request.id)}


async def _pause_schedule(world: World, request: PauseSchedule) -> Answer:
    await schedules.pause_schedule(world, request.id)
    return {}


async def _resume_schedule(world: World, request: ResumeSchedule) -> Answer:
    await schedules.resume_schedule(world, request.id)
    return {}


async def _trigger_schedule(world: World, request: TriggerSchedule) -> Answer:
    return {"run": await schedules.trigger_schedule(world, request.id)}


async def _backfill_schedule(world: World, request: BackfillSchedule) -> Answer:
    backfill = await schedules.backfill_schedule(world, request.id, request.start_us, request.end_us, request.overlap)
    return {"schedule": backfill}


async def _ask_why(world: World, request: AskWhy) -> Answer:
    return {"why": msgspec.to_builtins(await why(world, request.id))}


_HANDLERS: dict[type[msgspec.Struct], Callable[[World, Any], Awaitable[Answer]]] = {
    PutQueue: _put_queue,
    DeleteQueue: _delete_queue,
    PauseQueue: _pause_queue,
    ResumeQueue: _resume_queue,
    ListQueues: _list_queues,
    PutSchedule: _put_schedule,
    ListSchedules: _list_schedules,
    GetSchedule: _get_schedule,
    DeleteSchedule: _delete_schedule,
    PauseSchedule: _pause_schedule,
    ResumeSchedule: _resume_schedule,
    TriggerSchedule: _trigger_schedule,
    BackfillSchedule: _backfill_schedule,
    AskWhy: _ask_why,
}
OPS = frozenset(str(kind.__struct_config__.tag) for kind in _HANDLERS)
"""What a request may ask for."""
