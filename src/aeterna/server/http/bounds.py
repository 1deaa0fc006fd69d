"""Before FastAPI sees a request: its path as it was sent, and no body that is larger than it may be."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aeterna.kernel.errors import PayloadTooLargeError
from aeterna.server.errors import codes_of, name_of
from aeterna.server.http.problems import problem


class Bounds:
    """ASGI middleware.

    Ids of runs may hold slashes. A server decodes ``%2F`` in paths, after which nobody can tell such a slash from one
    between two parts; so paths are matched undecoded, and the parts decoded one by one."""

    def __init__(self, app: ASGIApp, body_bytes_max: int) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        raw = scope.get("raw_path")
        if raw:
            scope = {**scope, "path": raw.partition(b"?")[0].decode("latin-1")}
        if _declared_length(scope) > self._body_bytes_max:
            error = self._too_large()
            await problem(codes_of(error).http, name_of(error), str(error))(scope, receive, send)
            return
        await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        received = 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._body_bytes_max:
                raise HTTPException(413, str(self._too_large()))
            return message

        return counting

    def _too_large(self) -> PayloadTooLargeError:
        return PayloadTooLargeError(
            f"the request's body has more than {self._body_bytes_max:,} bytes: store large values elsewhere and send "
            "where they are"
        )


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
