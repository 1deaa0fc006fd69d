"""Web pages that would use a visitor's browser to reach a server which lets everybody on its machine in."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from aeterna.kernel.errors import PermissionDeniedError
from aeterna.server.auth import Gatekeeper
from aeterna.server.exposure import is_loopback_name
from aeterna.server.http.problems import problem


def guarded(app: ASGIApp, gatekeeper: Gatekeeper) -> ASGIApp:
    """The application, behind the guard."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and gatekeeper.is_open and _is_foreign(scope["headers"]):
            text = "a server without tokens answers to loopback names only, and to no web page of another site"
            await problem(403, PermissionDeniedError.__name__, text)(scope, receive, send)
            return
        await app(scope, receive, send)

    return guard


def _is_foreign(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    given = dict(headers)
    host = given.get(b"host", b"").decode("latin-1")
    origin = given.get(b"origin", b"").decode("latin-1")
    try:
        name = urlsplit(f"//{host}").hostname or ""
        page = urlsplit(origin).netloc
    except ValueError:
        return True
    return not is_loopback_name(name) or (bool(origin) and page != host)
