"""Queues over HTTP: their limits, and how they stand."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from msgspec import structs

from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.operations import queues
from aeterna.durable.operations.requests import queue_record
from aeterna.durable.stores.contract import QueueRow
from aeterna.server.http import bodies, standing
from aeterna.server.http.gate import Caller, Newcomer, QueueName, may, may_make

Json = dict[str, Any]

router = APIRouter(tags=["queues"])
may_pause_queue = may("pause_queue")
may_put_queue = may_make("put_queue")
may_list_queues = may("list_queues")
may_get_queue = may("get_queue")
may_delete_queue = may("delete_queue")


@router.get("/queues", response_model=standing.Queues)
async def list_queues(caller: Caller = may_list_queues) -> Json:
    """All queues that were put or have unfinished runs, by name."""
    return {"queues": [queue_record(state) for state in await queues.list_queues(caller.desk)]}


@router.get("/queues/{name}", response_model=standing.Queue)
async def get_queue(name: QueueName, caller: Caller = may_get_queue) -> Json:
    """One queue, its limits and how it stands."""
    return await _queue(caller.desk, name)


@router.put("/queues/{name}", response_model=standing.Queue)
async def put_queue(name: QueueName, body: bodies.Limits, caller: Newcomer = may_put_queue) -> Json:
    """Set the limits of a queue, which hold for what starts from now on. What the body leaves out has no limit. A
    queue that was paused stays paused."""
    return await _put(caller, QueueRow(name, **body.model_dump()))


@router.patch("/queues/{name}", response_model=standing.Queue)
async def change_queue(name: QueueName, body: bodies.Limits, caller: Newcomer = may_put_queue) -> Json:
    """Change those limits of a queue that the body names; null lifts one."""
    known = await _known(caller, name)
    return await _put(caller, structs.replace(known, **body.model_dump(exclude_unset=True)))


@router.delete("/queues/{name}", response_model=standing.WasThere)
async def delete_queue(name: QueueName, caller: Caller = may_delete_queue) -> Json:
    """Forget the limits of a queue; what waits in it may start."""
    return {"deleted": await queues.delete_queue(caller.desk, name)}


@router.post("/queues/{name}/pause", response_model=standing.Queue)
async def pause_queue(name: QueueName, caller: Caller = may_pause_queue) -> Json:
    """Let nothing of a queue start until it is resumed; what has started goes on."""
    await queues.pause_queue(caller.desk, name)
    return await _queue(caller.desk, name)


@router.post("/queues/{name}/resume", response_model=standing.Queue)
async def resume_queue(name: QueueName, caller: Caller = may_pause_queue) -> Json:
    """Let runs of a queue start again."""
    await queues.resume_queue(caller.desk, name)
    return await _queue(caller.desk, name)


async def _queue(desk: NamespaceDesk, name: str) -> Json:
    return queue_record(await queues.get_queue(desk, name))


async def _put(caller: Newcomer, queue: QueueRow) -> Json:
    queues.check_queue(queue)
    desk = await caller.desk()
    await queues.declare_queue(desk, queue)
    return await _queue(desk, queue.name)


async def _known(caller: Newcomer, name: str) -> QueueRow:
    desk = await caller.known_desk()
    state = None if desk is None else await queues.find_queue(desk, name)
    return QueueRow(name) if state is None else state.queue
