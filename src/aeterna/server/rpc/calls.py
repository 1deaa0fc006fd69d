"""What a worker asks of its store over its session, apart from writes: one function per call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aeterna.durable.core.segment import encode_segment
from aeterna.durable.engine.coordinator.attached import Attached
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.operations.queues import put_queue
from aeterna.durable.stores.contract import RunQuery
from aeterna.durable.wire.convert import (
    message_to,
    notice_from,
    queue_from,
    queue_state_to,
    row_to,
    schedule_from,
    schedule_to,
    session_to,
    states_from,
)
from aeterna.durable.wire.generated import records_pb2
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.errors import PermissionDeniedError, SerializationError
from aeterna.server.auth import Role
from aeterna.server.rpc.link import PIECE_BYTES
from aeterna.server.verbs import CALL_NEEDS

LIST_MAX = 1_000
DELETE_MAX = 10_000
PIECE_EVENTS = 500

Replies = list[pb.Reply]


async def answer_call(desk: NamespaceDesk, attached: Attached, role: Role, call: pb.Call) -> Replies:
    """The answer, in pieces; raises what the store raises, `PermissionDeniedError` for what the worker's role does not
    include, and `SerializationError` for a call that is none."""
    kind = call.WhichOneof("call")
    handler = None if kind is None else _HANDLERS.get(kind)
    if handler is None or kind is None:
        raise SerializationError("a call is empty, or of a kind that this release does not know")
    _require(role, call, kind)
    replies = await handler(desk, attached, getattr(call, kind))
    for reply in replies:
        reply.number = call.number
    return replies


def _require(role: Role, call: pb.Call, kind: str) -> None:
    is_retention = kind == "delete_runs" and call.delete_runs.HasField("finished_before_us")
    need = CALL_NEEDS["delete_finished" if is_retention else kind]
    if not role.includes(need):
        raise PermissionDeniedError(f"a worker whose role is {role.value!r} cannot do this: it needs {need.value!r}")


async def _renew(desk: NamespaceDesk, attached: Attached, lease_us: int) -> Replies:
    if lease_us > 0:
        attached.lease_us = min(lease_us, desk.options.lease_us_max)
    alive = await desk.sessions.renew(attached)
    return [pb.Reply(count=int(alive))]


async def _get_run(desk: NamespaceDesk, _: Attached, run_id: str) -> Replies:
    row = await desk.store.get_run(run_id)
    return [pb.Reply(rows=[] if row is None else [row_to(row)])]


async def _history(desk: NamespaceDesk, _: Attached, call: pb.HistoryCall) -> Replies:
    events = await desk.store.history(call.run_id, max(call.start, 0))
    replies: Replies = []
    size = PIECE_EVENTS
    start = 0
    while start < len(events) or not replies:
        piece = events[start : start + size]
        body = encode_segment(piece) if piece else b""
        if len(body) > PIECE_BYTES and size > 1:
            size = max(1, size // 4)
            continue
        segment = records_pb2.Segment(count=len(piece), body=body)
        start += size
        replies.append(pb.Reply(history=segment, has_more=start < len(events)))
    return replies


async def _claim_run(desk: NamespaceDesk, attached: Attached, run_id: str) -> Replies:
    row = await desk.store.claim_run(attached.number, run_id)
    if row is None:
        return [pb.Reply()]
    desk.sessions.hold(attached, row.key, row.id, row.parent)
    inbox = await desk.store.inbox(run_id)
    return [pb.Reply(rows=[row_to(row)], inbox=[message_to(message) for message in inbox])]


async def _inbox(desk: NamespaceDesk, _: Attached, run_id: str) -> Replies:
    messages = await desk.store.inbox(run_id)
    replies: Replies = [pb.Reply()]
    size = 0
    for message in messages:
        if size + len(message.payload) > PIECE_BYTES and replies[-1].inbox:
            replies[-1].has_more = True
            replies.append(pb.Reply())
            size = 0
        size += len(message.payload) + 100
        replies[-1].inbox.append(message_to(message))
    return replies


async def _list_runs(desk: NamespaceDesk, _: Attached, call: pb.ListCall) -> Replies:
    limit = min(call.limit, LIST_MAX)
    before = call.before if call.HasField("before") else None
    page = await desk.store.list_runs(RunQuery(call.workflow or None, states_from(call.states), limit, before))
    return [pb.Reply(rows=[row_to(row) for row in page.rows], count=page.next)]


async def _count_runs(desk: NamespaceDesk, _: Attached, __: bool) -> Replies:
    counts = await desk.store.count_runs()
    return [pb.Reply(counts={str(state): count for state, count in counts.items()})]


async def _delete_runs(desk: NamespaceDesk, _: Attached, call: pb.DeleteCall) -> Replies:
    limit = min(max(call.limit, 0), DELETE_MAX)
    if call.HasField("finished_before_us"):
        return [pb.Reply(count=await desk.store.delete_finished(call.finished_before_us, limit))]
    return [pb.Reply(count=await desk.store.delete_runs(list(call.ids)[:DELETE_MAX]))]


async def _close(desk: NamespaceDesk, attached: Attached, __: bool) -> Replies:
    await desk.detach(attached, died=False)
    return [pb.Reply()]


async def _unread(desk: NamespaceDesk, attached: Attached, __: bool) -> Replies:
    return [pb.Reply(names=await desk.store.unread(attached.number))]


async def _list_sessions(desk: NamespaceDesk, _: Attached, __: bool) -> Replies:
    return [pb.Reply(workers=[session_to(session) for session in await desk.store.list_sessions()])]


async def _list_queues(desk: NamespaceDesk, _: Attached, __: bool) -> Replies:
    return [pb.Reply(queues=[queue_state_to(state) for state in await desk.store.list_queues()])]


async def _put_queue(desk: NamespaceDesk, _: Attached, queue: records_pb2.Queue) -> Replies:
    await put_queue(desk, queue_from(queue))
    return [pb.Reply()]


async def _delete_queue(desk: NamespaceDesk, _: Attached, name: str) -> Replies:
    return [pb.Reply(count=int(await desk.store.delete_queue(name)))]


async def _list_schedules(desk: NamespaceDesk, _: Attached, __: bool) -> Replies:
    return [pb.Reply(schedules=[schedule_to(row) for row in await desk.store.list_schedules()])]


async def _put_schedule(desk: NamespaceDesk, _: Attached, schedule: records_pb2.Schedule) -> Replies:
    await desk.store.put_schedule(schedule_from(schedule))
    return [pb.Reply()]


async def _delete_schedule(desk: NamespaceDesk, _: Attached, schedule: str) -> Replies:
    return [pb.Reply(count=int(await desk.store.delete_schedule(schedule)))]


async def _next_schedule(desk: NamespaceDesk, _: Attached, __: bool) -> Replies:
    return [pb.Reply(count=await desk.store.next_schedule())]


async def _announce(desk: NamespaceDesk, _: Attached, notice: records_pb2.Notice) -> Replies:
    known = notice_from(notice)
    if known is not None:
        desk.announce(known)
    return [pb.Reply()]


_HANDLERS: Mapping[str, Callable[[NamespaceDesk, Attached, Any], Awaitable[Replies]]] = {
    "renew_us": _renew,
    "get_run": _get_run,
    "history": _history,
    "claim_run": _claim_run,
    "inbox": _inbox,
    "list_runs": _list_runs,
    "count_runs": _count_runs,
    "delete_runs": _delete_runs,
    "close": _close,
    "unread": _unread,
    "list_sessions": _list_sessions,
    "list_queues": _list_queues,
    "put_queue": _put_queue,
    "delete_queue": _delete_queue,
    "list_schedules": _list_schedules,
    "put_schedule": _put_schedule,
    "delete_schedule": _delete_schedule,
    "next_schedule": _next_schedule,
    "announce": _announce,
}
