"""What is asked of a run."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.event_records import value_of
from aeterna.durable.operations.fork import fork, position_of_step
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.query import query
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.terminate import terminate
from aeterna.kernel.errors import UsageError, WorkflowIdConflictError
from aeterna.server.http import answers, bodies
from aeterna.server.http.gate import Caller, RunId, may
from aeterna.server.http.keys import IdempotencyKey, named_after, require_same_fork, require_same_signal
from aeterna.server.incoming import check_name

Json = dict[str, Any]

router = APIRouter(tags=["messages"])
may_signal = may("signal")
may_cancel = may("cancel")
may_pause = may("pause")
may_resume = may("resume")
may_terminate = may("terminate")
may_fork = may("fork")
may_query = may("query")


@router.post("/workflows/{run_id}/signal", response_model=answers.Sent)
async def signal_workflow(
    run_id: RunId,
    body: bodies.Signal,
    caller: Caller = may_signal,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """Send a signal to a run; one of the same ``id``, or ``Idempotency-Key``, is the same signal."""
    payload = _encode(body.payload, "the payload", caller)
    message_id = body.id or named_after(idempotency_key, "signal")
    name = check_name("name", body.name)
    is_new = await signal(caller.desk, run_id, name, payload, message_id)
    if not is_new and not body.id:
        await require_same_signal(caller.desk.store, run_id, message_id, name, payload)
    return {"is_duplicate": not is_new}


@router.post("/workflows/{run_id}/cancel", response_model=answers.Ordered)
async def cancel_workflow(run_id: RunId, body: bodies.Reason, caller: Caller = may_cancel) -> Json:
    """Ask a run to cancel; it may clean up first."""
    is_new = await cancel(caller.desk, run_id, body.reason)
    return {**await _row(caller, run_id), "done": "requested" if is_new else "requested before"}


@router.post("/workflows/{run_id}/pause", response_model=answers.Ordered)
async def pause_workflow(run_id: RunId, body: bodies.Reason, caller: Caller = may_pause) -> Json:
    """Ask a run to pause: steps under way end, nothing new begins."""
    await pause(caller.desk, run_id, body.reason)
    return {**await _row(caller, run_id), "done": "requested"}


@router.post("/workflows/{run_id}/resume", response_model=answers.Ordered)
async def resume_workflow(run_id: RunId, caller: Caller = may_resume) -> Json:
    """Let a paused run go on, or have a stuck one tried again."""
    await resume(caller.desk, run_id)
    return {**await _row(caller, run_id), "done": "requested"}


@router.post("/workflows/{run_id}/terminate", response_model=answers.Ordered)
async def terminate_workflow(run_id: RunId, body: bodies.Reason, caller: Caller = may_terminate) -> Json:
    """End a run at once, without its code seeing it."""
    await terminate(caller.desk, run_id, body.reason)
    return {**await _row(caller, run_id), "done": "terminated"}


@router.post("/workflows/{run_id}/fork", status_code=201, response_model=answers.OneRun)
async def fork_workflow(
    run_id: RunId,
    body: bodies.Fork,
    caller: Caller = may_fork,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """A new run with the beginning of this one's history."""
    keyed = "" if body.id else named_after(idempotency_key, "fork", run_id)
    position = await _position(caller, run_id, body)
    try:
        forked = await fork(caller.desk, run_id, position, body.id or keyed or None)
    except WorkflowIdConflictError:
        if not keyed:
            raise
        await require_same_fork(caller.desk.store, run_id, position, keyed)
        forked = keyed
    return await _row(caller, forked)


@router.post("/workflows/{run_id}/query", response_model=answers.Answered)
async def query_workflow(run_id: RunId, body: bodies.Query, caller: Caller = may_query) -> Json:
    """Ask the code of a run; nothing is recorded."""
    arguments = _encode([body.args, body.kwargs], "the arguments", caller)
    return {"result": value_of(await query(caller.desk, run_id, body.name, arguments, body.timeout_s))}


async def _position(caller: Caller, run_id: str, body: bodies.Fork) -> int:
    if body.step is not None and body.position is None:
        return await position_of_step(caller.desk, run_id, body.step, body.occurrence)
    if body.position is None or body.step is not None:
        raise UsageError("a fork needs a position, the number of an event, or a step, its name: give one of both")
    return body.position


def _encode(value: Any, what: str, caller: Caller) -> Payload:
    return codec.encode(value, what, caller.desk.limits.payload_bytes_max)


async def _row(caller: Caller, run_id: str) -> Json:
    return {"run": caller.run(await describe(caller.desk.store, run_id))}
