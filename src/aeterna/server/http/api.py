"""The HTTP API: its routes, each of which calls the operation of its name, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp

from aeterna.kernel.errors import StoreError
from aeterna.kernel.version import VERSION
from aeterna.server.http import problems
from aeterna.server.http.bounds import Bounds
from aeterna.server.http.changes import Feeds
from aeterna.server.http.gate import Gate
from aeterna.server.http.looking import looking
from aeterna.server.http.messages import messages
from aeterna.server.http.observing import observing
from aeterna.server.http.starting import starting
from aeterna.server.http.tokens import token_routes

BODY_FACTOR = 4
"""JSON may take so much more room than what is recorded of it."""

Json = dict[str, Any]


def create_app(gate: Gate, feeds: Feeds, is_ready: Callable[[], bool] = lambda: True) -> ASGIApp:
    """The HTTP API as an ASGI application."""
    app = FastAPI(title="Aeterna", version=VERSION, docs_url=None, redoc_url=None)
    problems.install(app)
    app.include_router(_health(gate, is_ready))
    for router in (starting(gate), looking(gate), messages(gate), observing(gate, feeds), token_routes(gate)):
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
