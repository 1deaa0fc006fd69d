"""From a method and a path to the function that serves it.

Knows no route itself; says what there is where there is nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple

from aeterna.kernel.suggestions import did_you_mean
from aeterna.supervisor.control.answers import Response, Stream, problem
from aeterna.supervisor.control.connection import Request

Handler = Callable[[Request, str, str], Awaitable[Response | Stream]]


class Route(NamedTuple):
    """``{}`` in the pattern takes any segment; at most two of them, which the handler gets."""

    method: str
    pattern: str
    handler: Handler


async def dispatch(routes: Iterable[Route], request: Request) -> Response | Stream:
    """Find the route and call its handler; 404 and 405 say what there is."""
    method = "GET" if request.method == "HEAD" else request.method
    path = request.path.rstrip("/") or "/"
    allowed: list[str] = []
    for route in routes:
        taken = _match(route.pattern, path)
        if taken is None:
            continue
        if route.method == method:
            return await route.handler(request, *taken)
        allowed.append(route.method)
    if allowed:
        allow = ", ".join(sorted({*allowed, *(["HEAD"] if "GET" in allowed else [])}))
        raise problem(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} understands {allow}", (("Allow", allow),))
    known = [route.pattern for route in routes if "{}" not in route.pattern]
    raise problem(HTTPStatus.NOT_FOUND, f"there is nothing at {path}{did_you_mean(path, known)}")


def _match(pattern: str, path: str) -> tuple[str, str] | None:
    wanted, given = pattern.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    taken: list[str] = []
    for expected, found in zip(wanted, given, strict=True):
        if expected == "{}" and found:
            taken.append(found)
        elif expected != found:
            return None
    return (*taken, "", "")[0], (*taken, "", "")[1]
