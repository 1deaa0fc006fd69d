"""How exchanges without an end of their own end when their generation leaves: event streams and WebSockets.

An event stream is told when to come back (``retry:``) and ends like any other body. A WebSocket is closed with a code
that asks its client to come back. Both happen one by one over a while, so that their clients do not come back all at
once. Knows the gate as a counter only; `HandoverMiddleware` decides when.

Invariant: a client never gets a part of an event or of a message because of this; the application learns of the end as
it learns of a client that left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, Protocol

from aeterna.handover.gate import Gate

__all__ = ["Closings", "EndedByHandoverError", "EventStream", "LongLived", "WebSocket"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_RETRY = b"retry: 1000\n\n"
_ENDS_OF_EVENT = (b"\n\n", b"\r\n\r\n", b"\r\r")
_APPLICATION_ENDS_S = 2.0
"""How long the application may take to notice that its WebSocket was closed."""


class EndedByHandoverError(OSError):
    """The connection was ended because this generation leaves."""


class LongLived(Protocol):
    """What can be asked to end."""

    async def end(self) -> None:
        """End it for the client, properly; does nothing the second time."""
        ...


class EventStream:
    """A response of server-sent events. ``task`` is the one that runs the application for it."""

    def __init__(self, send: Send, *, is_plain: bool) -> None:
        self._send, self._is_plain = send, is_plain
        self._task = asyncio.current_task()
        self._turn = asyncio.Lock()
        self._is_between_events = True
        self.is_ended = False

    async def send(self, message: Message) -> None:
        """As the server's own, until the stream has ended; what comes then goes nowhere."""
        async with self._turn:
            if self.is_ended:
                raise EndedByHandoverError
            await self._send(message)
            body = message.get("body", b"")
            if body:
                self._is_between_events = body.endswith(_ENDS_OF_EVENT)

    async def end(self) -> None:
        """Say when to come back, end the body, and cancel the application."""
        async with self._turn:
            if self.is_ended:
                return
            self.is_ended = True
            # A client drops an event without its empty line; completing it would deliver a part as the whole.
            hint = _RETRY if self._is_plain and self._is_between_events else b""
            await self._send({"type": "http.response.body", "body": hint, "more_body": False})
        if self._task is not None:
            self._task.cancel()


class WebSocket:
    """A WebSocket between the server and the application.

    Counts as in flight from the request to its acceptance, while the application handles a message, and while it is
    being closed. ``admit`` waits until the application may be given something to do, which then counts as in flight;
    False: it never may again.
    """

    def __init__(
        self, receive: Receive, send: Send, *, gate: Gate, admit: Callable[[], Awaitable[bool]], close_code: int
    ) -> None:
        self._receive, self._send = receive, send
        self._gate, self._admit, self._close_code = gate, admit, close_code
        self._task = asyncio.current_task()
        self._finished = asyncio.Event()
        self._is_accepted = self._is_to_end = self._is_ended = self._is_closed_here = False
        # The request itself has been admitted.
        self._is_busy = True

    async def run(self, application: Callable[[Any, Receive, Send], Awaitable[None]], scope: Any) -> None:
        """Run the application until one of the two sides ends it."""
        try:
            await application(scope, self.receive, self.send)
        except EndedByHandoverError:
            pass
        except asyncio.CancelledError:
            if not self._is_closed_here or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._become_idle()
            self._finished.set()

    async def receive(self) -> Message:
        """The next message, when the application may have it."""
        if self._is_accepted:
            self._become_idle()
        if not self._is_ended:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            if await self._admit():
                self._is_busy = True
                return message
            await self._close()
        return {"type": "websocket.disconnect", "code": self._close_code, "reason": "service restart"}

    async def send(self, message: Message) -> None:
        """As the server's own, until it has ended."""
        if self._is_ended:
            raise EndedByHandoverError
        kind = message["type"]
        self._is_ended = kind == "websocket.close"
        await self._send(message)
        if kind == "websocket.accept":
            self._is_accepted = True
            self._become_idle()
            if self._is_to_end:
                await self._close()

    async def end(self) -> None:
        """Ask the client to come back, and wait for the application, which is cancelled if it does not hear of it."""
        self._is_to_end = True
        self._gate.enter()
        try:
            await self._close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), _APPLICATION_ENDS_S)
        finally:
            self._gate.leave()
        if self._is_closed_here and not self._finished.is_set() and self._task is not None:
            self._task.cancel()

    async def _close(self) -> None:
        if self._is_accepted and not self._is_ended:
            self._is_ended = self._is_closed_here = True
            await self._send({"type": "websocket.close", "code": self._close_code, "reason": "service restart"})

    def _become_idle(self) -> None:
        if self._is_busy:
            self._is_busy = False
            self._gate.leave()


class _Ending(NamedTuple):
    """When an exchange is to end. The timer of a loop need not know it: uvloop's does not if that is at once."""

    timer: asyncio.TimerHandle
    due_s: float


class Closings:
    """The long-lived exchanges under way, of one loop, and their ends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open: dict[LongLived, _Ending | None] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def add(self, exchange: LongLived, *, ends_in_s: float | None = None) -> None:
        """An exchange has begun; if the generation is leaving already, it ends soon."""
        self._open[exchange] = None
        if ends_in_s is not None:
            self._schedule(exchange, ends_in_s)

    def discard(self, exchange: LongLived) -> None:
        """It has ended by itself, or it was ended."""
        planned = self._open.pop(exchange, None)
        if planned is not None:
            planned.timer.cancel()

    def end_all(self, kinds: tuple[type, ...], spread_s: float) -> None:
        """End the exchanges of these kinds one by one over ``spread_s``; none later than it was to end before."""
        chosen = [exchange for exchange in self._open if isinstance(exchange, kinds)]
        for number, exchange in enumerate(chosen):
            self._schedule(exchange, spread_s * number / len(chosen))

    def _schedule(self, exchange: LongLived, delay_s: float) -> None:
        planned, due_s = self._open[exchange], self._loop.time() + delay_s
        if planned is None or due_s < planned.due_s:
            if planned is not None:
                planned.timer.cancel()
            self._open[exchange] = _Ending(self._loop.call_later(delay_s, self._begin, exchange), due_s)

    def _begin(self, exchange: LongLived) -> None:
        task = self._loop.create_task(_end(exchange), name="an exchange ended by the handover")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _end(exchange: LongLived) -> None:
    # Its client may have gone by itself meanwhile.
    with contextlib.suppress(OSError):
        await exchange.end()
