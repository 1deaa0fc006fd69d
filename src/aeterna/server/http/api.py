"""The routes, one for each verb; each calls the operation of its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload, RunCreated
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from aeterna.durable.operations import requests
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.delete import delete, delete_finished
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.event_records import value_of
from aeterna.durable.operations.fork import fork
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.query import query
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.start import StartRequest, start
from aeterna.durable.operations.summary import STUCK_AFTER_S, summary
from aeterna.durable.operations.terminate import terminate
from aeterna.durable.operations.why import why
from aeterna.durable.stores.contract import RunQuery
from aeterna.kernel.errors import UsageError, WorkflowIdConflictError
from aeterna.kernel.ids import check_run_id, new_run_id
from aeterna.kernel.version import VERSION
from aeterna.server.http import bodies, problems
from aeterna.server.http.changes import Changes
from aeterna.server.http.gate import Caller, Gate, RunId
from aeterna.server.http.records import event_record, outcome_record, run_record
from aeterna.server.rpc.serving import ADMIN, CLIENT, READ

PAGE_MAX = 1_000
INT64_MAX = 2**63 - 1
WAIT_S_MAX = 3_600.0

Json = dict[str, Any]


def create_app(gate: Gate, is_ready: Callable[[], bool] = lambda: True) -> ASGIApp:
    """The HTTP API as an ASGI application."""
    app = FastAPI(title="Aeterna", version=VERSION, docs_url="/docs", redoc_url=None)
    problems.install(app)
    app.include_router(_health(is_ready))
    for router in (_runs(gate), _messages(gate), _observing(gate)):
        app.include_router(router, prefix="/api")
    return _RawPaths(app)


class _RawPaths:
    """Hands paths on as they came, percent-encoded: an id may hold a slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if scope["type"] == "http" and raw:
            scope = {**scope, "path": raw.split(b"?", 1)[0].decode("ascii", "replace")}
        await self._app(scope, receive, send)


def _health(is_ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> Json:
        """The process is alive."""
        return {"status": "ok", "version": VERSION}

    @router.get("/ready")
    async def ready() -> Response:
        """It takes requests; 503 while it starts or stops."""
        ok = is_ready()
        return JSONResponse({"ready": ok}, 200 if ok else 503)

    return router


def _runs(gate: Gate) -> APIRouter:
    router = APIRouter(tags=["workflows"])
    reader, client, admin = (Depends(gate.needs(role)) for role in (READ, CLIENT, ADMIN))

    @router.get("/workflows")
    async def list_workflows(
        caller: Caller = reader,
        type: Annotated[str | None, Query(max_length=256)] = None,  # noqa: A002 - as users say it
        state: Annotated[list[State] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        before: Annotated[int | None, Query(ge=0, le=INT64_MAX)] = None,
    ) -> Json:
        """Runs, newest first; ``next`` of the answer is ``before`` of the next page."""
        page = await caller.desk.store.list_runs(RunQuery(type, tuple(state or ()), limit, before))
        return {"runs": [run_record(row, caller.desk.name) for row in page.rows], "next": page.next}

    @router.post("/workflows", status_code=201)
    async def start_workflow(
        body: bodies.Start,
        response: Response,
        caller: Caller = client,
        idempotency_key: Annotated[str | None, Header(max_length=256)] = None,
    ) -> Json:
        """Start a run. 200 instead of 201 if it was there: by its id, its singleton, or the ``Idempotency-Key``."""
        desk = caller.desk
        request = _start_request(body, desk.name, idempotency_key, desk.limits.payload_bytes_max)
        reply = await start(desk, request)
        if not reply.is_new:
            response.status_code = 200
            if idempotency_key is not None and body.id is None:
                await _require_same(caller, reply.id, request)
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
        row = await describe(caller.desk.store, run_id)
        events = (await caller.desk.store.history(run_id, start))[: limit + 1]
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
    async def signal_workflow(run_id: RunId, body: bodies.Signal, caller: Caller = client) -> Json:
        """Send a signal to a run."""
        payload = _encode(body.payload, "the payload", caller)
        return {"is_duplicate": not await signal(caller.desk, run_id, body.name, payload, body.id)}

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
    async def fork_workflow(run_id: RunId, body: bodies.Fork, caller: Caller = client) -> Json:
        """A new run with the beginning of this one's history."""
        return await _row(caller, await fork(caller.desk, run_id, body.position, body.id))

    @router.post("/workflows/{run_id}/query")
    async def query_workflow(run_id: RunId, body: bodies.Query, caller: Caller = client) -> Json:
        """Ask the code of a run; nothing is recorded."""
        arguments = _encode([body.args, body.kwargs], "the arguments", caller)
        return {"result": value_of(await query(caller.desk, run_id, body.name, arguments, body.timeout_s))}

    return router


def _observing(gate: Gate) -> APIRouter:
    router = APIRouter(tags=["observability"])
    reader, admin = Depends(gate.needs(READ)), Depends(gate.needs(ADMIN))
    streams: dict[str, Changes] = {}

    @router.get("/observability/summary")
    async def get_summary(
        caller: Caller = reader,
        stuck_after_s: Annotated[float, Query(ge=0, le=10**9)] = STUCK_AFTER_S,
    ) -> Json:
        """Queue backlog, stuck runs and the oldest age."""
        found: Json = msgspec.to_builtins(await summary(caller.desk, stuck_after_s))
        return found

    @router.get("/workers")
    async def list_workers(caller: Caller = reader) -> Json:
        """The live sessions."""
        return {"workers": [msgspec.to_builtins(row) for row in await caller.desk.store.list_sessions()]}

    @router.get("/namespaces")
    async def list_namespaces(request: Request) -> Json:
        """The namespaces of this server."""
        await gate.admit(request, READ)
        return {"namespaces": sorted(gate.coordinator.desks)}

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
        caller: Caller = reader, last_event_id: Annotated[str | None, Header(max_length=20)] = None
    ) -> StreamingResponse:
        """Server-sent events: what happens from now on, or since ``Last-Event-ID``."""
        name = caller.desk.name
        if name not in streams:
            streams[name] = Changes(caller.desk)
        after = int(last_event_id) if last_event_id and last_event_id.isdecimal() else None
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(streams[name].stream(after), headers=headers, media_type="text/event-stream")

    return router


def _start_request(body: bodies.Start, namespace: str, key: str | None, bytes_max: int) -> StartRequest:
    if body.debounce and body.singleton is None:
        raise UsageError("debounce needs a singleton, which says which calls belong together")
    run_id = body.id
    if run_id is None:
        run_id = new_run_id() if key is None else _keyed_id(namespace, body.workflow, key)
    what = f"the arguments of workflow {body.workflow!r}"
    return StartRequest(
        id=check_run_id(run_id),
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


def _keyed_id(namespace: str, workflow: str, key: str) -> str:
    """The id that follows from an idempotency key, so that no server has to remember keys."""
    digest = hashlib.sha256(f"{namespace}\x00{workflow}\x00{key}".encode()).hexdigest()
    return f"key-{digest[:32]}"


async def _require_same(caller: Caller, run_id: str, request: StartRequest) -> None:
    history = await caller.desk.store.history(run_id)
    if not history or not isinstance(history[0], RunCreated) or history[0].arguments != request.arguments:
        raise WorkflowIdConflictError("this Idempotency-Key was used for a start with other arguments")


def _encode(value: Any, what: str, caller: Caller) -> Payload:
    return codec.encode(value, what, caller.desk.limits.payload_bytes_max)


async def _row(caller: Caller, run_id: str) -> Json:
    return {"run": run_record(await describe(caller.desk.store, run_id), caller.desk.name)}


async def _state_of(caller: Caller, run_id: str) -> Json:
    row = await describe(caller.desk.store, run_id)
    run = fold(await caller.desk.store.history(run_id) if row.state.is_final else ())
    record = {"run": run_record(row, caller.desk.name)}
    return {**record, **outcome_record(run, sees_payloads=caller.identity.sees_payloads)}
