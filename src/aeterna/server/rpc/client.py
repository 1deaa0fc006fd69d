"""ClientService: starting runs and talking with them."""

from __future__ import annotations

from functools import partial
from typing import Any

from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import Run, fold
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.fork import fork, position_of_step
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.query import query
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.signal_with_start import signal_with_start
from aeterna.durable.operations.start import StartReply, StartRequest, start
from aeterna.durable.operations.terminate import terminate
from aeterna.durable.stores.contract import RunRow
from aeterna.durable.wire.convert import error_to, row_to
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.kernel.errors import AeternaError, UsageError
from aeterna.kernel.ids import check_run_id
from aeterna.server.batches import attempted, start_those
from aeterna.server.incoming import (
    BATCH_MAX,
    NOTHING,
    QUERY_S,
    check_arguments,
    check_count,
    check_name,
    check_payload,
    check_reason,
    check_seconds,
    check_start,
)
from aeterna.server.redaction import seen_by
from aeterna.server.rpc.serving import Context, Service, answering

ANSWERING_S = 0.05
UNBOUNDED_S = 1e8
"""A call without a deadline is said to have so much time and more."""


class ClientService(Service):
    """See ``proto/aeterna/v1/client.proto``."""

    # ruff: noqa: N802 - methods are named as in the proto

    @answering
    async def StartWorkflow(self, request: pb.StartWorkflowRequest, context: Context) -> pb.StartWorkflowResponse:
        """Start a run."""
        await self.let_in(context, request.namespace, "start")
        wanted = start_request(request, self.payload_bytes_max)
        desk = await self.made_desk(request.namespace)
        reply = await start(desk, wanted)
        return _started(reply, await describe(desk.store, reply.id))

    @answering
    async def SignalWithStart(self, request: pb.SignalWithStartRequest, context: Context) -> pb.SignalWithStartResponse:
        """Start a run unless it exists, and send it a signal."""
        await self.let_in(context, request.start.namespace, "signal_with_start")
        wanted = start_request(request.start, self.payload_bytes_max)
        payload = check_payload(request.payload, NOTHING, self.payload_bytes_max)
        name, message_id = check_name("signal_name", request.signal_name), _message_id(request.signal_id)
        desk = await self.made_desk(request.start.namespace)
        reply, is_new = await signal_with_start(desk, wanted, name, payload, message_id)
        return pb.SignalWithStartResponse(id=reply.id, created=reply.is_new, is_duplicate=not is_new)

    @answering
    async def BatchStart(self, request: pb.BatchStartRequest, context: Context) -> pb.BatchStartResponse:
        """Start many runs."""
        await self.let_in(context, request.namespace, "batch_start")
        check_count("starts", len(request.starts), BATCH_MAX)
        wanted = [attempted(partial(start_request, each, self.payload_bytes_max)) for each in request.starts]
        results = []
        for answer in await start_those(partial(self.made_desk, request.namespace), wanted):
            if isinstance(answer, AeternaError):
                results.append(pb.BatchStartResponse.Result(error=str(answer)))
            else:
                started = pb.StartWorkflowResponse(id=answer.id, created=answer.is_new)
                results.append(pb.BatchStartResponse.Result(started=started))
        return pb.BatchStartResponse(results=results)

    @answering
    async def GetWorkflowStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.WorkflowStatus:
        """The run's row, and how it ended."""
        desk, identity = await self.enter(context, request.namespace, "status")
        row = await describe(desk.store, check_run_id(request.id))
        run = fold(await desk.store.history(row.id)) if row.state.is_final and identity.sees_payloads else Run()
        shown = seen_by(identity, row)
        return pb.WorkflowStatus(
            id=row.id,
            state=row_to(row).state,
            current_step=shown.note or shown.detail.value,
            result=run.result,
            error=None if run.error is None else error_to(run.error),
            started_us=row.created_us,
            completed_us=row.finished_us,
            info=row_to(shown),
        )

    @answering
    async def AwaitResult(self, request: pb.AwaitResultRequest, context: Context) -> pb.WorkflowResult:
        """Wait for the end of a run."""
        desk = await self.desk(context, request.namespace, "await_result")
        timeout_s = _timeout(request, context)
        row = await describe(desk.store, check_run_id(request.id))
        run = await await_result(desk, row.id, timeout_s)
        return pb.WorkflowResult(
            id=row.id,
            state=row_to(await describe(desk.store, row.id)).state,
            result=run.result,
            error=None if run.error is None else error_to(run.error),
            cancel_reason=run.cancel_reason,
            workflow=run.workflow,
            version=run.version,
        )

    @answering
    async def CancelWorkflow(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        """Ask a run to cancel."""
        desk = await self.desk(context, request.namespace, "cancel")
        return pb.CancelResponse(accepted=await cancel(desk, check_run_id(request.id), check_reason(request.reason)))

    @answering
    async def SignalWorkflow(self, request: pb.SignalRequest, context: Context) -> pb.SignalResponse:
        """Send a signal to a run."""
        desk = await self.desk(context, request.namespace, "signal")
        payload = check_payload(request.payload, NOTHING, desk.limits.payload_bytes_max)
        name = check_name("name", request.name)
        is_new = await signal(desk, check_run_id(request.id), name, payload, _message_id(request.signal_id))
        return pb.SignalResponse(is_duplicate=not is_new)

    @answering
    async def QueryWorkflow(self, request: pb.QueryRequest, context: Context) -> pb.QueryResponse:
        """Ask the code of a run."""
        desk = await self.desk(context, request.namespace, "query")
        arguments = check_arguments(request.arguments, desk.limits.payload_bytes_max)
        timeout_s = (
            check_seconds("timeout_seconds", request.timeout_seconds)
            if request.HasField("timeout_seconds")
            else QUERY_S
        )
        return pb.QueryResponse(
            answer=await query(desk, check_run_id(request.id), check_name("name", request.name), arguments, timeout_s)
        )

    @answering
    async def PauseWorkflow(self, request: pb.PauseRequest, context: Context) -> pb.PauseResponse:
        """Ask a run to pause."""
        await pause(
            await self.desk(context, request.namespace, "pause"), check_run_id(request.id), check_reason(request.reason)
        )
        return pb.PauseResponse()

    @answering
    async def ResumeWorkflow(self, request: pb.ResumeRequest, context: Context) -> pb.ResumeResponse:
        """Let a paused or stuck run go on."""
        await resume(await self.desk(context, request.namespace, "resume"), check_run_id(request.id))
        return pb.ResumeResponse()

    @answering
    async def TerminateWorkflow(self, request: pb.TerminateRequest, context: Context) -> pb.TerminateResponse:
        """End a run at once."""
        await terminate(
            await self.desk(context, request.namespace, "terminate"),
            check_run_id(request.id),
            check_reason(request.reason),
        )
        return pb.TerminateResponse()

    @answering
    async def ForkWorkflow(self, request: pb.ForkRequest, context: Context) -> pb.ForkResponse:
        """A new run with the beginning of another one's history."""
        desk = await self.desk(context, request.namespace, "fork")
        run_id = check_run_id(request.id)
        if bool(request.step) == bool(request.position):
            raise UsageError("a fork needs a position, the number of an event, or a step, its name: give one of both")
        position = request.position
        if request.step:
            position = await position_of_step(desk, run_id, request.step, request.occurrence or 1)
        return pb.ForkResponse(id=await fork(desk, run_id, position))


def start_request(request: pb.StartWorkflowRequest, payload_bytes_max: int) -> StartRequest:
    """The request, checked; raises `UsageError`."""
    wanted = StartRequest(
        id=request.id,
        workflow=request.workflow,
        version=request.version,
        arguments=Payload(request.arguments),
        queue=request.queue,
        priority=request.priority,
        share=request.share,
        delay_us=request.delay_us,
        singleton=request.singleton if request.HasField("singleton") else None,
        debounce=request.debounce,
        requires=tuple(request.requires),
        affinity=request.affinity,
    )
    return check_start(wanted, payload_bytes_max)


def _message_id(text: str) -> str:
    return check_name("signal_id", text) if text else ""


def _timeout(request: Any, context: Context) -> float | None:
    """The shorter of what the caller says and what the call allows, with time left to answer."""
    wanted = check_seconds("timeout_seconds", request.timeout_seconds) if request.HasField("timeout_seconds") else None
    left: float | None = context.time_remaining()
    if left is None or left > UNBOUNDED_S:
        return wanted
    bound = max(left - ANSWERING_S, 0.0)
    return bound if wanted is None else min(wanted, bound)


def _started(reply: StartReply, row: RunRow) -> pb.StartWorkflowResponse:
    return pb.StartWorkflowResponse(id=reply.id, created=reply.is_new, state=row_to(row).state)
