"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from aeterna.kernel.errors import AeternaError

MEDIA_TYPE = "application/problem+json"

_STATUSES: dict[str, int] = {
    "RunNotFoundError": 404,
    "WorkflowIdConflictError": 409,
    "InvalidStateError": 409,
    "UnknownWorkflowError": 409,
    "NonDeterminismError": 409,
    "RunError": 409,
    "UnauthenticatedError": 401,
    "PermissionDeniedError": 403,
    "LimitExceededError": 413,
    "PayloadTooLargeError": 413,
    "UsageError": 400,
    "StoreError": 503,
    "UnavailableError": 503,
}
"""By the names of classes; one that is not here has the status of the nearest class that it derives from."""


def status_of(error: BaseException) -> int:
    """The status of an error."""
    if isinstance(error, TimeoutError):
        return 408
    found = (_STATUSES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _STATUSES)
    return next(found, 500)


def problem(status: int, error: str, detail: str, **more: Any) -> JSONResponse:
    """One problem document; ``error`` is the name of the class that a client of this package raises again."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    body = {"type": "about:blank", "title": error, "status": status, "detail": detail, "error": error, **more}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of this application with a problem."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        return problem(status_of(error), type(error).__name__, str(error) or "the time is over")

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in error.errors()]
        text = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults)
        return problem(422, "UsageError", text, faults=faults)

    async def plain(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, "UsageError", str(error.detail))

    app.add_exception_handler(AeternaError, ours)
    app.add_exception_handler(TimeoutError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
