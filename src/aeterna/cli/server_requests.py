"""The requests of ``operations.requests``, asked of a server's HTTP API: the same questions, the same answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from aeterna.cli.quoting import quoted
from aeterna.cli.server_client import ServerClient

Document = dict[str, Any]


def ask_server(client: ServerClient, request: Document) -> Document:
    """The answer to a request; raises the error it is answered with."""
    return _ROUTES[request["op"]](client, request)


def _queue(request: Document, verb: str = "") -> str:
    return f"/api/queues/{quoted(request['name'])}{verb}"


def _schedule(request: Document, verb: str = "") -> str:
    return f"/api/schedules/{quoted(request['id'])}{verb}"


def _put_queue(client: ServerClient, request: Document) -> Document:
    limits = request["limits"] | dict.fromkeys(request["unlimited"])
    return {"queue": client.patch(_queue(request), limits)}


def _put_schedule(client: ServerClient, request: Document) -> Document:
    spec = dict(request["spec"])
    args, kwargs = json.loads(base64.b64decode(spec.pop("arguments"))[1:])
    return client.put(_schedule(request), spec | {"args": args, "kwargs": kwargs, "is_paused": request["is_paused"]})


def _backfill(client: ServerClient, request: Document) -> Document:
    wanted: Document = {name: request[name] for name in ("start_us", "end_us", "overlap") if name in request}
    return client.post(_schedule(request, "/backfill"), wanted)


_ROUTES: Mapping[str, Callable[[ServerClient, Document], Document]] = {
    "queue.put": _put_queue,
    "queue.delete": lambda client, request: client.delete(_queue(request)),
    "queue.pause": lambda client, request: client.post(_queue(request, "/pause"), {}),
    "queue.resume": lambda client, request: client.post(_queue(request, "/resume"), {}),
    "queue.list": lambda client, _: client.get("/api/queues"),
    "schedule.put": _put_schedule,
    "schedule.list": lambda client, _: client.get("/api/schedules"),
    "schedule.get": lambda client, request: client.get(_schedule(request), {"coming": request["coming"]}),
    "schedule.delete": lambda client, request: client.delete(_schedule(request)),
    "schedule.pause": lambda client, request: client.post(_schedule(request, "/pause"), {}),
    "schedule.resume": lambda client, request: client.post(_schedule(request, "/resume"), {}),
    "schedule.trigger": lambda client, request: client.post(_schedule(request, "/trigger"), {}),
    "schedule.backfill": _backfill,
    "why": lambda client, request: client.get(f"/api/workflows/{quoted(request['id'])}/why"),
}
