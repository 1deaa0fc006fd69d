"""How the server and its namespaces stand, their queues and schedules, and what changes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from aeterna.durable.operations import requests
from aeterna.durable.operations.summary import STUCK_AFTER_S, summary
from aeterna.durable.operations.workers import list_workers as find_workers
from aeterna.kernel.errors import UsageError
from aeterna.server.counting import count_by_state
from aeterna.server.http.changes import Feeds, stream
from aeterna.server.http.gate import Caller, Gate
from aeterna.server.http.records import summary_record
from aeterna.server.rpc.serving import ADMIN, READ

Json = dict[str, Any]


def observing(gate: Gate, feeds: Feeds) -> APIRouter:
    """The routes."""
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
        """The namespaces of this server that the caller may see."""
        identity = await gate.recognize(request)
        return {"namespaces": [name for name in await gate.names() if identity.reaches(name)]}

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
