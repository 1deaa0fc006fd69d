"""What is asked of a run."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.event_records import value_of
from aeterna.durable.operations.fork import fork
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.query import query
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.terminate import terminate
from aeterna.kernel.errors import WorkflowIdConflictError
from aeterna.server.http import bodies
from aeterna.server.http.gate import Caller, Gate, RunId
from aeterna.server.http.keys import IdempotencyKey, named_after
from aeterna.server.http.records import run_record
from aeterna.server.incoming import check_name
from aeterna.server.rpc.serving import CLIENT

Json = dict[str, Any]


def messages(gate: Gate) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["messages"])
    client = Depends(gate.needs(CLIENT))

    @router.post("/workflows/{run_id}/signal")
    async def signal_workflow(
        run_id: RunId, body: bodies.Signal, caller: Caller = client, idempotency_key: IdempotencyKey = None
    ) -> Json:
        """Send a signal to a run; one of the same ``id``, or ``Idempotency-Key``, is the same signal."""
        payload = _encode(body.payload, "the payload", caller)
        message_id = body.id or named_after(idempotency_key, "signal")
        is_new = await signal(caller.desk, run_id, check_name("name", body.name), payload, message_id)
        return {"is_duplicate": not is_new}

    @router.post("/workflows/{run_id}/cancel")
    async def cancel_workflow(run_id: RunId, body: bodies.Reason, caller: Caller = client) -> Json:
        """Ask a run to cancel; it may clean up first."""
        is_new = await cancel(caller.desk, run_id, body.reason)
        return {**await _row(caller, run_id), "done": "requested" if is_new else "requested before"}

    @router.post("/workflows/{run_id}/pause")
    async def pause_workflow(run_id: RunId, body: bodies.Reason, caller: Caller = client) -> Json:
        """Ask a run to pause: steps under way end, nothing new begins."""
        await pause(caller.desk, run_id, body.reason)
        return {**await _row(caller, run_id), "done": "requested"}

    @router.post("/workflows/{run_id}/resume")
    async def resume_workflow(run_id: RunId, caller: Caller = client) -> Json:
        """Let a paused run go on, or have a stuck one tried again."""
        await resume(caller.desk, run_id)
        return {**await _row(caller, run_id), "done": "requested"}

    @router.post("/workflows/{run_id}/terminate")
    async def terminate_workflow(run_id: RunId, body: bodies.Reason, caller: Caller = client) -> Json:
        """End a run at once, without its code seeing it."""
        await terminate(caller.desk, run_id, body.reason)
        return {**await _row(caller, run_id), "done": "terminated"}

    @router.post("/workflows/{run_id}/fork", status_code=201)
    async def fork_workflow(
        run_id: RunId, body: bodies.Fork, caller: Caller = client, idempotency_key: IdempotencyKey = None
    ) -> Json:
        """A new run with the beginning of this one's history."""
        keyed = "" if body.id else named_after(idempotency_key, "fork", run_id, str(body.position))
        try:
            forked = await fork(caller.desk, run_id, body.position, body.id or keyed or None)
        except WorkflowIdConflictError:
            if not keyed:
                raise
            # The key was used before, for this very fork.
            forked = keyed
        return await _row(caller, forked)

    @router.post("/workflows/{run_id}/query")
    async def query_workflow(run_id: RunId, body: bodies.Query, caller: Caller = client) -> Json:
        """Ask the code of a run; nothing is recorded."""
        arguments = _encode([body.args, body.kwargs], "the arguments", caller)
        return {"result": value_of(await query(caller.desk, run_id, body.name, arguments, body.timeout_s))}

    return router


def _encode(value: Any, what: str, caller: Caller) -> Payload:
    return codec.encode(value, what, caller.desk.limits.payload_bytes_max)


async def _row(caller: Caller, run_id: str) -> Json:
    return {"run": run_record(await describe(caller.desk.store, run_id), caller.desk.name)}
