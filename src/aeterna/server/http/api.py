"""The routes, one for each verb; each calls the operation of its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.types import ASGIApp

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from aeterna.durable.operations import requests
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.delete import delete, delete_finished
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.event_records import value_of
from aeterna.durable.operations.fork import fork
from aeterna.durable.operations.history import history
from aeterna.durable.operations.list_runs import list_runs
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.query import query
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.start import StartRequest, start
from aeterna.durable.operations.summary import STUCK_AFTER_S, summary
from aeterna.durable.operations.terminate import terminate
from aeterna.durable.operations.why import why
from aeterna.durable.operations.workers import list_workers as find_workers
from aeterna.durable.stores.contract import RunQuery
from aeterna.kernel.errors import StoreError, UsageError, WorkflowIdConflictError
from aeterna.kernel.version import VERSION
from aeterna.server.counting import count_by_state
from aeterna.server.http import bodies, problems
from aeterna.server.http.bounds import Bounds
from aeterna.server.http.changes import Feeds, stream
from aeterna.server.http.gate import Caller, Gate, RunId
from aeterna.server.http.keys import IdempotencyKey, named_after, require_same_start
from aeterna.server.http.records import event_record, outcome_record, run_record, summary_record
from aeterna.server.incoming import check_name, check_start
from aeterna.server.rpc.serving import ADMIN, CLIENT, READ

PAGE_MAX = 1_000
INT64_MAX = 2**63 - 1
WAIT_S_MAX = 3_600.0

BODY_FACTOR = 4
"""JSON may take so much more room than what is recorded of it."""

Json = dict[str, Any]


def create_app(gate: Gate, feeds: Feeds, is_ready: Callable[[], bool] = lambda: True) -> ASGIApp:
    """The HTTP API as an ASGI application."""
    app = FastAPI(title="Aeterna", version=VERSION, docs_url=None, redoc_url=None)
    problems.install(app)
    app.include_router(_health(gate, is_ready))
    for router in (_runs(gate), _messages(gate), _observing(gate, feeds)):
        app.include_router(router, prefix="/api")
    return Bounds(app, BODY_FACTOR * gate.coordinator.options.limits.payload_bytes_max)


def _health(gate: Gate, is_ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> Json:
        """The process is alive."""
        return {"status": "ok", "version": VERSION}

    @router.get("/ready")
    async def ready() -> Response:
        """It takes requests; 503 while it stops, or while its store does not answer."""
        if not is_ready():
            return JSONResponse({"ready": False, "reason": "the server is stopping"}, 503)
        try:
            await gate.names()
        except StoreError as error:
            return JSONResponse({"ready": False, "reason": str(error)}, 503)
        return JSONResponse({"ready": True})

    @router.get("/docs", include_in_schema=False)
    async def page() -> Response:
        """The API for people. It loads nothing from elsewhere, so that it works on a machine without the internet."""
        text = resources.files("aeterna.server.http").joinpath("page.html").read_text("utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"})

    return router


def _runs(gate: Gate) -> APIRouter:
    router = APIRouter(tags=["workflows"])
    reader, client, admin = (Depends(gate.needs(role)) for role in (READ, CLIENT, ADMIN))
    starter = Depends(gate.needs(CLIENT, creates=True))

    @router.get("/workflows")
    async def list_workflows(
        caller: Caller = reader,
        type: Annotated[str | None, Query(max_length=256)] = None,  # noqa: A002 - as users say it
        state: Annotated[list[State] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        before: Annotated[int | None, Query(ge=0, le=INT64_MAX)] = None,
    ) -> Json:
        """Runs, newest first; ``next`` of the answer is ``before`` of the next page."""
        page = await list_runs(caller.desk, RunQuery(type, tuple(state or ()), limit, before))
        return {"runs": [run_record(row, caller.desk.name) for row in page.rows], "next": page.next}

    @router.post("/workflows", status_code=201)
    async def start_workflow(
        body: bodies.Start,
        response: Response,
        caller: Caller = starter,
        idempotency_key: IdempotencyKey = None,
    ) -> Json:
        """Start a run. 200 instead of 201 if it was there: by its id, its singleton, or the ``Idempotency-Key``."""
        desk = caller.desk
        request = _start_request(body, desk.name, idempotency_key, desk.limits.payload_bytes_max)
        reply = await start(desk, request)
        if not reply.is_new:
            response.status_code = 200
            if idempotency_key is not None and body.id is None:
                await require_same_start(desk.store, reply.id, request)
        return {"run": run_record(await describe(desk.store, reply.id), desk.name), "is_new": reply.is_new}

    @router.post("/workflows/delete")
    async def delete_workflows(body: bodies.Delete, caller: Caller = admin) -> Json:
        """Delete finished runs with their descendants."""
        if (body.ids is None) == (body.older_than_us is None):
            raise UsageError("give either ids or older_than_us")
        if body.ids is not None:
            return {"deleted": await delete(caller.desk, body.ids)}
        before_us = caller.desk.clock.now_us() - (body.older_than_us or 0)
        return {"deleted": await delete_finished(caller.desk, before_us, body.limit)}

    @router.get("/workflows/{run_id}")
    async def get_workflow(run_id: RunId, caller: Caller = reader) -> Json:
        """A run and how it ended."""
        return await _state_of(caller, run_id)

    @router.delete("/workflows/{run_id}")
    async def cancel_workflow_by_delete(run_id: RunId, caller: Caller = client) -> Json:
        """As ``POST .../cancel``."""
        await cancel(caller.desk, run_id)
        return await _state_of(caller, run_id)

    @router.get("/workflows/{run_id}/result")
    async def get_result(
        run_id: RunId,
        caller: Caller = client,
        timeout_s: Annotated[float, Query(ge=0, le=WAIT_S_MAX)] = 30.0,
    ) -> Json:
        """Wait for the end; 408 if it does not come in time, and the run goes on."""
        await describe(caller.desk.store, run_id)
        await await_result(caller.desk, run_id, timeout_s)
        return await _state_of(caller, run_id)

    @router.get("/workflows/{run_id}/history")
    async def get_history(
        run_id: RunId,
        caller: Caller = reader,
        start: Annotated[int, Query(ge=0, le=INT64_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> Json:
        """The events of a run; ``next`` of the answer is ``start`` of the next page."""
        row, events = await history(caller.desk, run_id, start)
        sees = caller.identity.sees_payloads
        shown = [event_record(start + at, event, sees_payloads=sees) for at, event in enumerate(events[:limit])]
        following = start + limit if len(events) > limit else None
        return {"run": run_record(row, caller.desk.name), "events": shown, "next": following}

    @router.get("/workflows/{run_id}/why")
    async def why_workflow(run_id: RunId, caller: Caller = reader) -> Json:
        """What the run waits for, and what would unblock it."""
        return {"why": msgspec.to_builtins(await why(caller.desk, run_id))}

    return router


def _messages(gate: Gate) -> APIRouter:
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


def _observing(gate: Gate, feeds: Feeds) -> APIRouter:
    router = APIRouter(tags=["observability"])
    reader, admin = Depends(gate.needs(READ)), Depends(gate.needs(ADMIN, creates=True))

    @router.get("/observability/summary")
    async def get_summary(
        caller: Caller = reader,
        stuck_after_s: Annotated[float, Query(ge=0, le=10**9)] = STUCK_AFTER_S,
    ) -> Json:
        """Queue backlog, stuck runs and the oldest age."""
        return summary_record(await summary(caller.desk, stuck_after_s), caller.desk.name, stuck_after_s)

    @router.get("/metrics")
    async def get_metrics(caller: Caller = reader) -> dict[str, int]:
        """How many runs are in which state; ``active`` have not ended."""
        return await count_by_state(caller.desk)

    @router.get("/workers")
    async def list_workers(caller: Caller = reader) -> Json:
        """The live sessions of workers."""
        return {"workers": [msgspec.to_builtins(row) for row in await find_workers(caller.desk)]}

    @router.get("/namespaces")
    async def list_namespaces(request: Request) -> Json:
        """The namespaces of this server."""
        await gate.admit(request, READ)
        return {"namespaces": await gate.names()}

    @router.post("/requests")
    async def answer_request(request: Request, caller: Caller = admin) -> Json:
        """Queues and schedules: ``{"op": "queue.list"}`` and the like."""
        try:
            body = msgspec.json.decode(await request.body())
        except msgspec.DecodeError as error:
            raise UsageError(f"the body is no JSON: {error}") from None
        return await requests.answer(caller.desk, body)

    @router.get("/changes")
    async def watch_changes(
        caller: Caller = reader,
        id: Annotated[str, Query(max_length=512, description="only of this run")] = "",  # noqa: A002 - as users say it
        last_event_id: Annotated[str, Header(max_length=64)] = "",
    ) -> StreamingResponse:
        """Server-sent events: what happens from now on, or since ``Last-Event-ID``.

        Events ``created``, ``changed``, ``message`` and ``ended`` have the run as it is now, ``schedule`` the id of the
        schedule; ``reset`` says that some are missing: look at everything anew."""
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        events = stream(caller.desk, feeds.of(caller.desk), id, last_event_id)
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")

    return router


def _start_request(body: bodies.Start, namespace: str, key: str | None, bytes_max: int) -> StartRequest:
    what = f"the arguments of workflow {body.workflow!r}"
    wanted = StartRequest(
        id=body.id or named_after(key, namespace, body.workflow),
        workflow=body.workflow,
        version=body.version,
        arguments=codec.encode([body.args, body.kwargs], what, bytes_max),
        queue=body.queue,
        priority=body.priority,
        share=body.share,
        delay_us=body.delay_us,
        singleton=body.singleton,
        debounce=body.debounce,
        requires=tuple(body.requires),
    )
    return check_start(wanted, bytes_max)


def _encode(value: Any, what: str, caller: Caller) -> Payload:
    return codec.encode(value, what, caller.desk.limits.payload_bytes_max)


async def _row(caller: Caller, run_id: str) -> Json:
    return {"run": run_record(await describe(caller.desk.store, run_id), caller.desk.name)}


async def _state_of(caller: Caller, run_id: str) -> Json:
    row = await describe(caller.desk.store, run_id)
    run = fold(await caller.desk.store.history(run_id) if row.state.is_final else ())
    record = {"run": run_record(row, caller.desk.name)}
    return {**record, **outcome_record(run, sees_payloads=caller.identity.sees_payloads)}
