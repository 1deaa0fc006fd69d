"""Errors as problem documents (RFC 9457), by the table of `server.errors`."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from aeterna.kernel.errors import AeternaError
from aeterna.server.errors import codes_of, name_of, text_of

MEDIA_TYPE = "application/problem+json"
FAULTS_MAX = 10
_NAMES = {413: "PayloadTooLargeError"}
"""A body turns out to be too large while FastAPI reads it, which lets nothing but its own class of errors through."""

log = logging.getLogger("aeterna.http")


class Fault(BaseModel):
    """One thing that does not fit the schema."""

    where: str = Field(examples=["body.workflow"])
    what: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(description="as `error`", examples=["RunNotFoundError"])
    status: int = Field(description="the HTTP status", examples=[404])
    detail: str = Field(description="what is wrong, and what would be right")
    error: str = Field(
        description="the class of the error; a client of this package raises it", examples=["UsageError"]
    )
    faults: list[Fault] | None = Field(None, description="of a request that does not fit the schema")


def problem(status: int, error: str, detail: str, **more: Any) -> JSONResponse:
    """One problem document; ``error`` is the name of the class that a client of this package raises again."""
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)
    body = {"type": "about:blank", "title": error, "status": status, "detail": detail, "error": error, **more}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of this application with a problem."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        return problem(codes_of(error).http, name_of(error), text_of(error))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in error.errors()]
        text = _faults_told(faults[:FAULTS_MAX], request.headers.get("content-type", ""))
        return problem(422, "UsageError", text, faults=faults[:FAULTS_MAX])

    async def plain(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, _NAMES.get(error.status_code, "UsageError"), str(error.detail))

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        where = f"{request.method} {request.scope['path']}"
        log.error("%s failed", where, exc_info=error, extra={"action": "http_failed"})
        return problem(500, "InvariantError", "the server failed in an unexpected way; its log has the details")

    app.add_exception_handler(AeternaError, ours)
    app.add_exception_handler(TimeoutError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, unexpected)


def _faults_told(faults: list[dict[str, str]], media_type: str) -> str:
    if "json" not in media_type and any(fault["where"] == "body" for fault in faults):
        # Forms are what commands such as curl send unless they are told; taking them would let web pages of others
        # send such requests unasked.
        came = media_type or "nothing that has a name"
        return f"the body came as {came}: send JSON, with the header Content-Type: application/json"
    return "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults)
