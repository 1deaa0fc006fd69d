"""AdminService: looking at a namespace, and its queues, schedules and workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from aeterna.durable.core.schedule import Overlap
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.operations import queues, schedules
from aeterna.durable.operations.delete import delete, delete_finished
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.schedules import Schedule
from aeterna.durable.operations.summary import STUCK_AFTER_S, summary
from aeterna.durable.operations.why import why
from aeterna.durable.stores.contract import Notice, RunQuery
from aeterna.durable.wire.convert import (
    notice_to,
    queue_from,
    queue_state_to,
    row_to,
    schedule_to,
    segment_to,
    session_to,
    states_from,
)
from aeterna.durable.wire.generated import admin_pb2 as pb
from aeterna.durable.wire.generated import records_pb2
from aeterna.kernel.errors import AeternaError, UsageError
from aeterna.kernel.ids import check_run_id
from aeterna.server.auth import Identity
from aeterna.server.counting import count_by_state
from aeterna.server.incoming import DELETE_MAX, check_count, check_schedule, check_seconds, schedule_spec
from aeterna.server.redaction import (
    schedule_without_payloads,
    seen_by,
    summary_without_payloads,
    view_without_payloads,
    without_payloads,
)
from aeterna.server.rpc.failing import abort
from aeterna.server.rpc.serving import Context, answering
from aeterna.server.rpc.tokens import TokenCalls

PAGE = 500
LIST_MAX = 100_000
SEGMENT_EVENTS = 200
CHANGES_MAX = 10_000


class AdminService(TokenCalls):
    """See ``proto/aeterna/v1/admin.proto``."""

    # ruff: noqa: N802 - methods are named as in the proto

    async def ListWorkflows(self, request: pb.ListRequest, context: Context) -> AsyncIterator[records_pb2.WorkflowInfo]:
        """Rows, newest first."""
        try:
            desk, identity = await self.enter(context, request.namespace, "list")
            left = min(request.limit or 100, LIST_MAX)
            before = request.before if request.HasField("before") else None
            states = states_from(request.states)
            while left > 0:
                query = RunQuery(request.workflow or None, states, min(left, PAGE), before)
                page = await desk.store.list_runs(query)
                for row in page.rows:
                    yield row_to(seen_by(identity, row))
                left -= len(page.rows)
                before = page.next
                if before is None:
                    break
        except AeternaError as error:
            await abort(context, error)

    async def GetHistory(self, request: pb.HistoryRequest, context: Context) -> AsyncIterator[records_pb2.Segment]:
        """The events of a run, some at a time."""
        try:
            desk, identity = await self.enter(context, request.namespace, "history")
            row = await describe(desk.store, check_run_id(request.id))
            events = await desk.store.history(row.id, max(request.start, 0))
            if not identity.sees_payloads:
                events = [without_payloads(event) for event in events]
            for start in range(0, len(events), SEGMENT_EVENTS):
                yield segment_to(tuple(events[start : start + SEGMENT_EVENTS]))
        except AeternaError as error:
            await abort(context, error)

    @answering
    async def WhyWorkflow(self, request: pb.WhyRequest, context: Context) -> pb.WhyResponse:
        """What a run waits for."""
        desk, identity = await self.enter(context, request.namespace, "why")
        view = None if identity.sees_payloads else view_without_payloads
        found = await why(desk, check_run_id(request.id), view=view)
        return pb.WhyResponse(
            kind=found.kind.value, text=found.text, unblocks=found.unblocks, json=msgspec.json.encode(found)
        )

    @answering
    async def DeleteWorkflows(self, request: pb.DeleteWorkflowsRequest, context: Context) -> pb.DeleteWorkflowsResponse:
        """Delete finished runs."""
        desk = await self.desk(context, request.namespace, "delete")
        if request.HasField("finished_before_us"):
            limit = min(request.limit or 1_000, DELETE_MAX)
            return pb.DeleteWorkflowsResponse(deleted=await delete_finished(desk, request.finished_before_us, limit))
        check_count("ids", len(request.ids), DELETE_MAX)
        return pb.DeleteWorkflowsResponse(deleted=await delete(desk, list(request.ids)))

    @answering
    async def GetMetrics(self, request: pb.MetricsRequest, context: Context) -> pb.Metrics:
        """How many runs are in which state."""
        return pb.Metrics(**await count_by_state(await self.desk(context, request.namespace, "count")))

    @answering
    async def GetSummary(self, request: pb.SummaryRequest, context: Context) -> pb.Summary:
        """How the namespace stands."""
        desk, identity = await self.enter(context, request.namespace, "summary")
        found = await summary(desk, check_seconds("stuck_after_seconds", request.stuck_after_seconds) or STUCK_AFTER_S)
        shown = found if identity.sees_payloads else summary_without_payloads(found)
        return pb.Summary(json=msgspec.json.encode(shown))

    @answering
    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Context) -> pb.ListWorkersResponse:
        """The live sessions."""
        found = await (await self.desk(context, request.namespace, "list_workers")).store.list_sessions()
        return pb.ListWorkersResponse(workers=[session_to(row) for row in found])

    # Queues.

    @answering
    async def PutQueue(self, request: pb.PutQueueRequest, context: Context) -> pb.PutQueueResponse:
        """Create a queue or change its limits."""
        await self.let_in(context, request.namespace, "put_queue")
        queue = queue_from(request.queue)
        queues.check_queue(queue)
        await queues.put_queue(await self.made_desk(request.namespace), queue)
        return pb.PutQueueResponse()

    @answering
    async def DeleteQueue(self, request: pb.DeleteQueueRequest, context: Context) -> pb.DeleteQueueResponse:
        """Forget the limits of a queue."""
        desk = await self.desk(context, request.namespace, "delete_queue")
        return pb.DeleteQueueResponse(existed=await queues.delete_queue(desk, request.name))

    @answering
    async def ListQueues(self, request: pb.ListQueuesRequest, context: Context) -> pb.ListQueuesResponse:
        """All queues and how they stand."""
        found = await (await self.desk(context, request.namespace, "list_queues")).store.list_queues()
        return pb.ListQueuesResponse(queues=[queue_state_to(state) for state in found])

    # Schedules.

    @answering
    async def PutSchedule(self, request: pb.PutScheduleRequest, context: Context) -> records_pb2.Schedule:
        """Create or change a schedule."""
        identity = await self.let_in(context, request.namespace, "put_schedule")
        is_paused = request.is_paused if request.HasField("is_paused") else None
        schedule_id, spec = check_schedule(request.id, schedule_spec(request.spec), self.payload_bytes_max)
        desk = await self.made_desk(request.namespace)
        return _schedule(await schedules.put_schedule(desk, schedule_id, spec, is_paused=is_paused), identity)

    @answering
    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: Context) -> pb.DeleteScheduleResponse:
        """Delete a schedule."""
        desk = await self.desk(context, request.namespace, "delete_schedule")
        return pb.DeleteScheduleResponse(existed=await schedules.delete_schedule(desk, request.id))

    @answering
    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> pb.ListSchedulesResponse:
        """All schedules."""
        desk, identity = await self.enter(context, request.namespace, "list_schedules")
        found = await schedules.list_schedules(desk)
        return pb.ListSchedulesResponse(schedules=[_schedule(each, identity) for each in found])

    @answering
    async def TriggerSchedule(self, request: pb.TriggerScheduleRequest, context: Context) -> pb.TriggerScheduleResponse:
        """Start a run of a schedule now."""
        desk = await self.desk(context, request.namespace, "trigger_schedule")
        return pb.TriggerScheduleResponse(run_id=await schedules.trigger_schedule(desk, request.id))

    @answering
    async def BackfillSchedule(
        self, request: pb.BackfillScheduleRequest, context: Context
    ) -> pb.BackfillScheduleResponse:
        """Start the runs of past times."""
        desk = await self.desk(context, request.namespace, "backfill_schedule")
        overlap = _overlap(request.overlap)
        done = await schedules.backfill_schedule(desk, request.id, request.start_us, request.end_us, overlap)
        return pb.BackfillScheduleResponse(id=done)

    @answering
    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: Context) -> pb.PauseScheduleResponse:
        """Let a schedule fire no more, or again."""
        desk = await self.desk(context, request.namespace, "pause_schedule")
        change = schedules.pause_schedule if request.is_paused else schedules.resume_schedule
        await change(desk, request.id)
        return pb.PauseScheduleResponse()

    # What happens.

    async def WatchChanges(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.Change]:
        """Every notice from now on, with the row of the run it is about."""
        try:
            desk, identity = await self.enter(context, request.namespace, "watch")
            async for notice in changes(desk, request.id):
                row = await desk.store.get_run(notice.subject) if notice.subject else None
                info = None if row is None else row_to(seen_by(identity, row))
                yield pb.Change(notice=notice_to(notice), at_us=desk.clock.now_us(), info=info)
        except AeternaError as error:
            await abort(context, error)


async def changes(desk: NamespaceDesk, run_id: str = "") -> AsyncIterator[Notice]:
    """The notices of a namespace, or of one run, as they come; one who does not keep up misses the oldest."""
    waiting: asyncio.Queue[Notice] = asyncio.Queue()

    def hear(notice: Notice) -> None:
        if run_id and notice.subject != run_id:
            return
        if waiting.qsize() >= CHANGES_MAX:
            waiting.get_nowait()
        waiting.put_nowait(notice)

    stop = desk.listen(hear)
    try:
        while True:
            yield await waiting.get()
    finally:
        stop()


def _schedule(found: Schedule, identity: Identity) -> records_pb2.Schedule:
    return schedule_to((found if identity.sees_payloads else schedule_without_payloads(found)).row)


def _overlap(text: str) -> Overlap:
    try:
        return Overlap(text) if text else Overlap.BUFFER_ALL
    except ValueError:
        known = ", ".join(policy.value for policy in Overlap)
        raise UsageError(f"overlap {text!r} is unknown: use one of {known}") from None
