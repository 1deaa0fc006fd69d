"""The ASGI middleware that makes a handover invisible to clients.

::

    app = HandoverMiddleware(app)

What it does with a request depends on the role of this generation, which the supervisor decides and the process's gate
holds: ACTIVE runs the application, PAUSED lets the request wait (the handover takes milliseconds), STANDBY passes it on
to the generation that serves. While the generation drains, every HTTP/1 answer says ``Connection: close``, so that
clients have left before it is told to exit; event streams end with ``retry:`` and WebSockets are closed with code 1012.
Without a supervisor it is one comparison per request.

It knows no server: it works under uvicorn, hypercorn, gunicorn and `aeterna.handover.run_asgi`. Put it outermost.

Invariant: the application runs only between ``gate.enter()`` and ``gate.leave()``, and enters only while ACTIVE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from aeterna.handover.gate import Gate, ServingRole
from aeterna.handover.gate import gate as process_gate
from aeterna.handover.long_lived import Closings, EndedByHandoverError, EventStream, WebSocket
from aeterna.handover.role_watch import RoleWatch
from aeterna.handover.serving_options import ServingOptions, is_managed

if TYPE_CHECKING:
    from aeterna.handover.forwarding import Call
    from aeterna.handover.listening import Address

__all__ = ["HandoverMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_CLOSE = (b"connection", b"close")
_RETRY_CONNECT_S = 0.02
_BUSY_TEXT = b"The service is being replaced; try again.\n"
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})


class HandoverMiddleware:
    """Wraps an ASGI application. ``gate`` and ``options`` default to those of the process and its environment.

    Given neither, and without a supervisor, it passes everything through.
    """

    def __init__(self, app: Application, *, gate: Gate | None = None, options: ServingOptions | None = None) -> None:
        self.app = app
        self._gate = gate if gate is not None else process_gate() if is_managed() else None
        self._options = options or ServingOptions.from_environ()
        self._loop_side: _LoopSide | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._gate is None:
            await self.app(scope, receive, send)
            return
        side = self._loop_side
        if side is None or side.loop is not asyncio.get_running_loop():
            side = self._loop_side = _LoopSide(self.app, self._gate, self._options)
        kind = scope["type"]
        if kind == "http":
            await side.http(scope, receive, send)
        elif kind == "websocket":
            await side.websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def leave(self) -> None:
        """The process has been told to exit: end the event streams and WebSockets, whatever the role."""
        if self._loop_side is not None:
            self._loop_side.leave()


class _LoopSide:
    """The middleware on one event loop."""

    def __init__(self, app: Application, gate: Gate, options: ServingOptions) -> None:
        self.app, self._gate, self._options = app, gate, options
        self.loop = asyncio.get_running_loop()
        self._watch = RoleWatch(gate, self._gate_changed)
        self._closings = Closings()
        self._parked = 0
        self._is_leaving = False
        self.is_last_answer = self._should_be_last()
        """Whether a connection's client should go elsewhere after its answer."""

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, here or there."""
        gate = self._gate
        gate.enter()
        if gate.role is not ServingRole.ACTIVE:
            gate.leave()
            await self._http_elsewhere_or_later(scope, receive, send)
            return
        response = _Response(self, scope, send)
        try:
            await self.app(scope, receive, response.send)
        except EndedByHandoverError:
            pass
        except asyncio.CancelledError:
            if not response.was_cut_short():
                raise
        finally:
            gate.leave()
            if response.stream is not None:
                self._closings.discard(response.stream)

    async def _http_elsewhere_or_later(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (role := self._gate.role) is not ServingRole.ACTIVE:
            if role is ServingRole.STANDBY:
                with self._gate.entered():
                    if await self._pass_on(scope, receive, send):
                        return
            if not await self._park(role):
                await _refuse(scope, send)
                return
        await self.http(scope, receive, send)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket, or ask its client to come back."""
        if not await self._admit():
            await self._turn_away(scope, receive, send)
            return
        exchange = WebSocket(receive, send, gate=self._gate, admit=self._admit, close_code=self._options.close_code)
        self._closings.add(exchange, ends_in_s=self._options.close_spread_s if self._ends_websockets else None)
        try:
            await exchange.run(self.app, scope)
        finally:
            self._closings.discard(exchange)

    def leave(self) -> None:
        """End what is long-lived, and each connection with its answer."""
        self._is_leaving = True
        self._gate_changed()

    def stream_began(self, send: Send, *, is_plain: bool) -> EventStream:
        """The response under way is one of server-sent events."""
        stream = EventStream(send, is_plain=is_plain)
        self._closings.add(stream, ends_in_s=self._options.lame_duck_s if self.is_last_answer else None)
        return stream

    # --- the handover -------------------------------------------------------------------------------------------

    @property
    def _ends_websockets(self) -> bool:
        """With exclusive state nobody else could serve them before the state has moved: until then they stay."""
        if self._is_leaving or self._gate.role is ServingRole.STANDBY:
            return True
        return self._gate.draining and not self._options.is_exclusive

    def _should_be_last(self) -> bool:
        return self._gate.draining or self._is_leaving or self._gate.role is not ServingRole.ACTIVE

    def _gate_changed(self) -> None:
        self.is_last_answer = self._should_be_last()
        if self.is_last_answer:
            self._end_long_lived()

    def _end_long_lived(self) -> None:
        spread_s = self._options.close_spread_s
        # The state cannot move while a response is under way.
        self._closings.end_all((EventStream,), spread_s if self._gate.role is ServingRole.ACTIVE else 0.0)
        if self._ends_websockets:
            self._closings.end_all((WebSocket,), spread_s)

    async def _park(self, role: ServingRole) -> bool:
        """Wait for another role than this one, or any change; False when too many wait, or it takes too long."""
        if self._parked >= self._options.parked_max:
            return False
        self._parked += 1
        try:
            return self._gate.role is not role or await self._watch.wait_change(self._options.park_s)
        finally:
            self._parked -= 1

    async def _admit(self) -> bool:
        """Enter the gate for something on a WebSocket, as soon as the role allows; False when it does not."""
        while True:
            self._gate.enter()
            role = self._gate.role
            if role is ServingRole.ACTIVE:
                return True
            self._gate.leave()
            if role is ServingRole.STANDBY or not await self._park(role):
                return False

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Let the serving generation answer; False when that is, or may soon be, this one.

        Raises `ForwardingError` when the answer broke off, which makes the server close the connection.
        """
        # Imported at the first request that needs it: most processes never do.
        from aeterna.handover import forwarding

        call = forwarding.call_of(scope)
        address = self._options.address_of(scope.get("server"))
        if address is None or forwarding.hops_of(call.headers) >= forwarding.HOPS_MAX:
            return False
        deadline = self.loop.time() + self._options.park_s
        while self._gate.role is ServingRole.STANDBY:
            try:
                await self._pass_on_once(call, address, receive, send)
            except forwarding.ForwardingError as error:
                if error.is_answering:
                    raise
                if scope["method"] not in _REPEATABLE or self.loop.time() > deadline:
                    await _refuse(scope, send, status=502)
                    return True
            except OSError:
                if self.loop.time() > deadline:
                    await _refuse(scope, send)
                    return True
            else:
                return True
            await self._watch.wait_change(_RETRY_CONNECT_S)
        return False

    @staticmethod
    async def _pass_on_once(call: Call, address: Address, receive: Receive, send: Send) -> None:
        from aeterna.handover import forwarding

        async with forwarding.connect(address) as streams:
            await forwarding.forward(call, streams, receive, send)

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept and close at once: a client understands the code, which a refused handshake could not carry."""
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": self._options.close_code, "reason": "service restart"})


class _Response:
    """The answer of the application on its way to the server."""

    __slots__ = ("_is_http_1", "_send", "_side", "stream")

    def __init__(self, side: _LoopSide, scope: Scope, send: Send) -> None:
        self._side, self._send = side, send
        self._is_http_1 = scope["http_version"][:1] == "1"
        self.stream: EventStream | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """As the server's own. No coroutine of its own: this is called for every part of every answer."""
        if self.stream is not None:
            return self.stream.send(message)
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            if self._is_http_1 and self._side.is_last_answer:
                message = {**message, "headers": [*_without_connection(headers), _CLOSE]}
            for name, value in headers:
                if value.startswith(b"text/event-stream") and name.lower() == b"content-type":
                    return self._begin_stream(message)
        return self._send(message)

    async def _begin_stream(self, message: Message) -> None:
        await self._send(message)
        is_plain = all(name.lower() != b"content-encoding" for name, _ in message["headers"])
        self.stream = self._side.stream_began(self._send, is_plain=is_plain)

    def was_cut_short(self) -> bool:
        """Whether the application was cancelled because its event stream was ended, and only because of that."""
        task = asyncio.current_task()
        return self.stream is not None and self.stream.is_ended and task is not None and task.uncancel() == 0


def _without_connection(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() != b"connection"]


async def _refuse(scope: Scope, send: Send, *, status: int = 503) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"1")]
    headers.append((b"content-length", str(len(_BUSY_TEXT)).encode()))
    if scope["http_version"][:1] == "1":
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": _BUSY_TEXT, "more_body": False})
