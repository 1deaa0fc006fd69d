"""The HTTP API: its routes, each of which calls the operation of its name, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp

from aeterna.kernel.errors import StoreError
from aeterna.kernel.version import VERSION
from aeterna.server.http import (
    description,
    looking,
    messages,
    observing,
    problems,
    queues,
    schedules,
    standing,
    starting,
    tokens,
)
from aeterna.server.http.bounds import Bounds
from aeterna.server.http.changes import Feeds
from aeterna.server.http.gate import Gate
from aeterna.server.http.known_query import known_query

BODY_FACTOR = 4
"""JSON may take so much more room than what is recorded of it."""

Json = dict[str, Any]


def create_app(gate: Gate, feeds: Feeds, is_ready: Callable[[], bool] = lambda: True) -> ASGIApp:
    """The HTTP API as an ASGI application."""
    app = description.described_app()
    app.state.gate, app.state.feeds = gate, feeds
    problems.install(app)
    app.include_router(_health(gate, is_ready))
    for room in (starting, looking, messages, queues, schedules, observing, tokens):
        app.include_router(room.router, prefix="/api", dependencies=[Depends(known_query)])
    return Bounds(app, BODY_FACTOR * gate.coordinator.options.limits.payload_bytes_max)


def _health(gate: Gate, is_ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health", response_model=standing.Health)
    async def health() -> Json:
        """The process is alive."""
        return {"status": "ok", "version": VERSION}

    @router.get("/ready", response_model=standing.Readiness, responses={503: {"model": standing.Readiness}})
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
