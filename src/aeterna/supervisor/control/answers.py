"""What a request may be answered with: a document, a problem (RFC 9457), or a stream of chunks.

Knows neither sockets nor the supervisor.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

JSON = "application/json"
PROBLEM = "application/problem+json"
JSON_LINES = "application/x-ndjson"
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is known whole. ``headers`` are beyond the content's own."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose end is not known. The generator is closed when it ends, or when nobody listens any more."""

    chunks: AsyncGenerator[bytes, None]
    content_type: str = JSON_LINES


class ProblemError(Exception):
    """The request cannot be served; raised by a handler, it becomes the answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.body.decode())
        self.response = response


def document(value: Any, status: int = HTTPStatus.OK) -> Response:
    """The value as JSON."""
    return Response(status, msgspec.json.encode(value) + b"\n")


def problem(status: int, detail: str, headers: tuple[tuple[str, str], ...] = (), **more: Any) -> ProblemError:
    """What is wrong, to be raised; ``detail`` says it to people and names what would be right."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": int(status), "detail": detail, **more}
    return ProblemError(Response(status, msgspec.json.encode(body) + b"\n", PROBLEM, headers))
