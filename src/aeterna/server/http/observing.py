"""How the server and its namespaces stand, and what changes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from aeterna.durable.operations.summary import STUCK_AFTER_S, summary
from aeterna.durable.operations.workers import list_workers as find_workers
from aeterna.durable.operations.workers import room_of
from aeterna.server.counting import count_by_state
from aeterna.server.http import standing
from aeterna.server.http.changes import Feeds, stream
from aeterna.server.http.gate import Caller, TheGate, may
from aeterna.server.http.looking import WAIT_S_MAX
from aeterna.server.http.records import summary_record
from aeterna.server.redaction import summary_without_payloads

Json = dict[str, Any]
EVENTS: Json = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
            "description": "`data` is JSON: `subject`, and `run` (or null) where it is about a run",
        },
        "example": 'id: 12-3\nevent: ended\ndata: {"subject": "order-7", "run": {}}\n\n',
    }
}


def _feeds_of(request: Request) -> Feeds:
    feeds: Feeds = request.app.state.feeds
    return feeds


TheFeeds = Annotated[Feeds, Depends(_feeds_of)]

router = APIRouter(tags=["observability"])
may_summary = may("summary")
may_count = may("count")
may_list_workers = may("list_workers")
may_watch = may("watch")


@router.get("/observability/summary", response_model=standing.Summary)
async def get_summary(
    caller: Caller = may_summary,
    stuck_after_s: Annotated[float, Query(ge=0, le=10**9)] = STUCK_AFTER_S,
) -> Json:
    """Queue backlog, stuck runs and the oldest age."""
    found = await summary(caller.desk, stuck_after_s)
    shown = found if caller.identity.sees_payloads else summary_without_payloads(found)
    return summary_record(shown, caller.desk.name, stuck_after_s)


@router.get("/metrics", response_model=standing.Counts)
async def get_metrics(caller: Caller = may_count) -> dict[str, int]:
    """How many runs are in which state; ``active`` have not ended."""
    return await count_by_state(caller.desk)


@router.get("/workers", response_model=standing.Workers)
async def list_workers(caller: Caller = may_list_workers) -> Json:
    """The live sessions of workers."""
    found = await find_workers(caller.desk)
    return {"workers": [{**msgspec.to_builtins(row), "room": room_of(row)} for row in found]}


@router.get("/namespaces", response_model=standing.Namespaces)
async def list_namespaces(request: Request, gate: TheGate) -> Json:
    """The namespaces of this server that the caller may see."""
    identity = await gate.recognize(request)
    return {"namespaces": [name for name in await gate.names() if identity.reaches(name)]}


@router.get("/changes", response_class=StreamingResponse, responses={200: {"content": EVENTS}})
async def watch_changes(
    feeds: TheFeeds,
    caller: Caller = may_watch,
    id: Annotated[str, Query(max_length=512, description="only of this run")] = "",  # noqa: A002 - as users say it
    last_event_id: Annotated[str, Header(max_length=64)] = "",
    limit_s: Annotated[float | None, Query(ge=0, le=WAIT_S_MAX, description="end after so long; null: never")] = None,
) -> StreamingResponse:
    """Server-sent events: what happens from now on, or since ``Last-Event-ID``.

    Events ``created``, ``changed``, ``message`` and ``ended`` have the run as it is now, ``schedule`` the id of the
    schedule; ``reset`` says that some are missing: look at everything anew."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    events = stream(caller, feeds.of(caller.desk), id, last_event_id, limit_s)
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")
