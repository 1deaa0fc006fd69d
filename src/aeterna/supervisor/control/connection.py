"""One HTTP/1.1 connection: requests are read within limits of size and time, answers written as fast as they are taken.

Knows the bytes (through h11) and who has connected; what the requests mean is the handler's business. A peer that sends
nonsense, too much or too slowly gets an answer where one is still possible, and the connection ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from aeterna.supervisor.control.answers import ProblemError, Response, Stream, problem
from aeterna.supervisor.control.contract import Caller
from aeterna.supervisor.control.racing import unless

_READ_BYTES = 65_536
_FIELDS_MAX = 20


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a peer may do. ``idle_s``: between requests; ``request_s``: for one request to arrive; ``write_s``: for an
    answer to be taken, ``stall_s`` for each part of a stream; ``closing_s``: for what is under way when the server
    stops."""

    header_bytes_max: int = 16 * 1024
    body_bytes_max: int = 64 * 1024
    connections_max: int = 200
    idle_s: float = 60.0
    request_s: float = 10.0
    write_s: float = 10.0
    stall_s: float = 300.0
    closing_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Names of ``headers`` are lower case; ``path`` is decoded and begins with a slash."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    caller: Caller


Handler = Callable[[Request], Awaitable[Response | Stream]]


class Stage(Enum):
    """What a connection is doing."""

    IDLE = auto()
    """It waits for a request and may be closed at any time."""
    BUSY = auto()


class Connection:
    """Serves one peer until it leaves, breaks a rule, or ``stopping`` is set and nothing is under way."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        caller: Caller,
        limits: HttpLimits,
        stopping: asyncio.Event,
    ) -> None:
        self._reader, self._writer = streams
        self._caller = caller
        self._limits = limits
        self._stopping = stopping
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes_max)
        self._method = ""
        self.stage = Stage.IDLE

    async def serve(self, handler: Handler) -> None:
        """Answer requests; returns when the connection is to be closed. Raises `OSError` and `TimeoutError`."""
        while not self._stopping.is_set():
            try:
                request = await self._read_request()
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint or HTTPStatus.BAD_REQUEST, str(error))
                return
            except ProblemError as error:
                await self._write_response(error.response, closes=True)
                await self._linger()
                return
            if request is None:
                return
            await self._answer(handler, request)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()
            self.stage = Stage.IDLE

    # --- reading ---

    async def _read_request(self) -> Request | None:
        """The next request; None if the peer has left."""
        head = await self._read_head()
        if head is None:
            return None
        body = bytearray()
        async with asyncio.timeout(self._limits.request_s):
            while True:
                event = await self._next_event()
                if isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    return self._understood(head, bytes(body))
                else:
                    return None
                if len(body) > self._limits.body_bytes_max:
                    raise problem(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {self._limits.body_bytes_max} bytes"
                    )

    async def _read_head(self) -> h11.Request | None:
        async with asyncio.timeout(self._limits.idle_s) as patience:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    # In small parts, because only a head that is not complete is measured.
                    data = await self._reader.read(self._limits.header_bytes_max)
                    if data and self.stage is Stage.IDLE:
                        self.stage = Stage.BUSY
                        patience.reschedule(asyncio.get_running_loop().time() + self._limits.request_s)
                    self._http.receive_data(data)
                elif isinstance(event, h11.Request):
                    self.stage = Stage.BUSY
                    self._method = event.method.decode("ascii")
                    return event
                else:
                    return None

    async def _next_event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
            self._http.receive_data(await self._reader.read(_READ_BYTES))

    def _understood(self, head: h11.Request, body: bytes) -> Request:
        try:
            parts = urlsplit(head.target.decode("ascii"))
            query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_FIELDS_MAX))
        except ValueError as error:
            raise problem(HTTPStatus.BAD_REQUEST, f"the address cannot be understood: {error}") from error
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        return Request(self._method, unquote(parts.path), query, headers, body, self._caller)

    # --- answering ---

    async def _answer(self, handler: Handler, request: Request) -> None:
        try:
            answer = await self._handle(handler, request)
        except ProblemError as error:
            answer = error.response
        except Exception:
            refusal = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the supervisor has a bug; its log says more")
            with suppress(OSError):
                await self._write_response(refusal.response, closes=True)
            raise
        match answer:
            case Response():
                await self._write_response(answer, closes=self._stopping.is_set())
            case Stream():
                await self._write_stream(answer)
            case None:
                await self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the supervisor stops or is being replaced")

    async def _handle(self, handler: Handler, request: Request) -> Response | Stream | None:
        """None: the peer has left, or the server stops, before there was an answer."""

        async def handle() -> Response | Stream:
            return await handler(request)

        if request.method not in {"GET", "HEAD"}:
            # An operation that has begun is carried out, whether anybody waits for its answer or not.
            return await handle()
        return await unless(handle(), self._peer_leaves(), self._stopping.wait())

    async def _peer_leaves(self) -> None:
        """Ends when the peer has closed its side. What it sends meanwhile is kept for later, up to a limit."""
        kept = 0
        while data := await self._reader.read(_READ_BYTES):
            self._http.receive_data(data)
            kept += len(data)
            if kept > self._limits.header_bytes_max + self._limits.body_bytes_max:
                return
        self._http.receive_data(b"")

    async def _write_response(self, response: Response, *, closes: bool) -> None:
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            *response.headers,
            *([("Connection", "close")] if closes else []),
        ]
        async with asyncio.timeout(self._limits.write_s):
            parts: list[h11.Event] = [h11.Response(status_code=response.status, headers=headers)]
            if self._method != "HEAD":
                parts.append(h11.Data(data=response.body))
            await self._write(*parts, h11.EndOfMessage())

    async def _write_stream(self, stream: Stream) -> None:
        headers = [("Content-Type", stream.content_type), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
        async with aclosing(stream.chunks) as chunks:
            await self._write(h11.Response(status_code=HTTPStatus.OK, headers=headers))

            async def pump() -> None:
                async for chunk in chunks:
                    async with asyncio.timeout(self._limits.stall_s):
                        await self._write(h11.Data(data=chunk))

            if self._method != "HEAD":
                await unless(pump(), self._peer_leaves(), self._stopping.wait())
            async with asyncio.timeout(self._limits.write_s):
                await self._write(h11.EndOfMessage())

    async def _refuse(self, status: int, detail: str) -> None:
        """Answer a request that cannot be served, and do not go on."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._write_response(problem(status, detail).response, closes=True)
            await self._linger()

    async def _linger(self) -> None:
        """Let the peer read the refusal before its unread bytes reset the connection (RFC 9112, 9.6)."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(self._limits.closing_s):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(_READ_BYTES):
                    pass

    async def _write(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        self._writer.write(data)
        await self._writer.drain()
