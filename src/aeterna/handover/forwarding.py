"""Passing a request on to the generation that serves.

A generation on standby may still be handed requests, on connections it had before. It answers them with what the
serving generation says, asked over the service's own address: headers and bodies stream through in both directions,
what belongs to one connection only (hop-by-hop headers) stays on it. `Exchange` is the HTTP, without input or output,
for the threaded servers as well; `forward` is the asyncio side. Nothing here knows why a request is passed on.

Invariant: a request's bytes go to one connection, once. Only a connection that could not be made is tried again, by
the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import h11

from aeterna.handover.listening import Address
from aeterna.kernel.errors import AeternaError

__all__ = ["HOPS_MAX", "Call", "Exchange", "ForwardingError", "Head", "call_of", "connect", "forward", "hops_of"]

HOPS_HEADER = b"x-aeterna-hops"
HOPS_MAX = 16
"""How often a request is passed on before it is given up. Where generations share one socket, the kernel may hand a
forwarded request to the wrong one again; sixteen times in a row, it will not."""

_READ_BYTES = 65_536
_HEADERS_BYTES_MAX = 1 << 18
_OF_ONE_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
    | {b"proxy-authenticate", b"proxy-authorization", b"expect", b"http2-settings"}
)
_WRITTEN_BY_THE_SERVER = frozenset({b"date", b"server"})
_WITHOUT_BODY = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS"})

Headers = list[tuple[bytes, bytes]]
Message = MutableMapping[str, Any]


class ForwardingError(AeternaError):
    """The serving generation did not answer. ``is_answering`` says whether the client has seen a part of an answer."""

    def __init__(self, reason: str, *, is_answering: bool = False) -> None:
        super().__init__(f"the generation that serves did not answer: {reason}")
        self.is_answering = is_answering


@dataclass(frozen=True, slots=True)
class Call:
    """A request to pass on. ``client`` is its sender's host, ``version`` the HTTP version it came with."""

    method: bytes
    target: bytes
    headers: Headers
    client: str = ""
    scheme: str = "http"
    version: str = "1.1"

    def request(self) -> h11.Request:
        """What is sent: the same request, framed for this connection, with the sender added to the forwarded ones."""
        given = {name for name, _ in self.headers}
        dropped = _dropped(self.headers) | {b"x-forwarded-for", HOPS_HEADER}
        if b"transfer-encoding" in given:
            dropped |= {b"content-length"}
        headers = [header for header in self.headers if header[0] not in dropped]
        if self._is_chunked(given):
            headers.append((b"transfer-encoding", b"chunked"))
        if b"host" not in given:
            headers.append((b"host", b"localhost"))
        if b"x-forwarded-proto" not in given:
            headers.append((b"x-forwarded-proto", self.scheme.encode("latin-1")))
        headers += [*self._forwarded_for(), (b"connection", b"close")]
        headers.append((HOPS_HEADER, str(hops_of(self.headers) + 1).encode()))
        return h11.Request(method=self.method, target=self.target, headers=headers)

    def _is_chunked(self, given: set[bytes]) -> bool:
        if b"transfer-encoding" in given:
            return True
        # HTTP/2 ends a body without having told its length.
        return self.version[:1] == "2" and self.method not in _WITHOUT_BODY and b"content-length" not in given

    def _forwarded_for(self) -> Headers:
        # A proxy's list is continued, so that the application sees the same client as if it had been asked directly.
        senders = [value for name, value in self.headers if name == b"x-forwarded-for"]
        if self.client:
            senders.append(self.client.encode("latin-1"))
        return [(b"x-forwarded-for", b", ".join(senders))] if senders else []


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer, without what the server in front of the client writes itself."""

    status: int
    reason: bytes
    headers: Headers


class Exchange:
    """One request and its answer on one connection, as bytes in and out.

    Raises `ForwardingError` when the other side says what is no HTTP, or ends too early.
    """

    def __init__(self, call: Call) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADERS_BYTES_MAX)
        self._call = call
        self.is_answering = False
        self.is_complete = False

    def begin(self) -> bytes:
        """The bytes of the request's head."""
        return self._send(self._call.request())

    def body(self, data: bytes, *, more: bool) -> bytes:
        """The bytes of a part of the request's body; without ``more`` it is the last one."""
        if self.is_complete or self._connection.our_state is not h11.SEND_BODY:
            return b""
        sent = self._send(h11.Data(data=data)) if data else b""
        return sent if more else sent + self._send(h11.EndOfMessage())

    def received(self, data: bytes) -> Iterator[Head | bytes]:
        """What arrived, understood: the head of the answer, then parts of its body; empty data says it has ended."""
        try:
            self._connection.receive_data(data)
            yield from self._answers()
        except h11.RemoteProtocolError as error:
            raise ForwardingError(str(error), is_answering=self.is_answering) from error
        if not data and not self.is_complete:
            raise ForwardingError("it closed the connection", is_answering=self.is_answering)

    def pending(self) -> Iterator[Head | bytes]:
        """What has arrived and was not asked for yet."""
        return self._answers()

    def _answers(self) -> Iterator[Head | bytes]:
        while not self.is_complete:
            match self._connection.next_event():
                case h11.Response() as response:
                    self.is_answering = True
                    headers = list(response.headers)
                    dropped = _dropped(headers) | _WRITTEN_BY_THE_SERVER
                    kept = [header for header in headers if header[0] not in dropped]
                    yield Head(response.status_code, response.reason, kept)
                case h11.Data() as part:
                    yield bytes(part.data)
                case h11.EndOfMessage():
                    self.is_complete = True
                case h11.InformationalResponse():
                    continue
                case _:
                    return

    def _send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        try:
            return self._connection.send(event) or b""
        except h11.LocalProtocolError as error:
            raise ForwardingError(f"the request cannot be passed on: {error}") from error


def call_of(scope: Mapping[str, Any]) -> Call:
    """The request that an ASGI scope describes."""
    target: bytes = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
    root = scope.get("root_path", "").encode("utf-8")
    # A server that is told its prefix puts it before every path; the other generation will do so again.
    if root and target.startswith(root):
        target = target[len(root) :] or b"/"
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return Call(
        method=scope["method"].encode("ascii"),
        target=target,
        headers=[(name.lower(), value) for name, value in scope["headers"]],
        client=(scope.get("client") or ("",))[0] or "",
        scheme=scope.get("scheme", "http"),
        version=scope["http_version"],
    )


def hops_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """How often the request has been passed on already."""
    for name, value in headers:
        if name == HOPS_HEADER:
            return int(value) if value.isdigit() else HOPS_MAX
    return 0


def _dropped(headers: Headers) -> frozenset[bytes]:
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return _OF_ONE_CONNECTION | named


@contextlib.asynccontextmanager
async def connect(address: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to an address for the time of the block. Raises `OSError` if it cannot be made."""
    if address.path:
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield reader, writer
    finally:
        # Nothing is left to be said on it: closing at once leaves no connection behind in a loop that is ending.
        writer.transport.abort()


async def forward(
    call: Call,
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Pass the request on over the connection, its body from ``receive`` and the answer to ``send``.

    Returns when the answer is complete or the client has gone. Raises `ForwardingError`.
    """
    reader, writer = streams
    exchange = Exchange(call)
    writer.write(exchange.begin())
    client = _Client(exchange, writer, receive)
    listening = asyncio.get_running_loop().create_task(client.listen(), name="request body on its way")
    try:
        await _answer(exchange, reader, send, is_http_1=call.version[:1] == "1")
    except (OSError, ForwardingError) as error:
        if client.is_gone:
            return
        if isinstance(error, ForwardingError):
            raise
        raise ForwardingError(str(error) or type(error).__name__) from error
    finally:
        listening.cancel()
        await asyncio.wait([listening])


class _Client:
    """The client's side of a request under way: what it still sends, and whether it is still there."""

    def __init__(
        self, exchange: Exchange, writer: asyncio.StreamWriter, receive: Callable[[], Awaitable[Message]]
    ) -> None:
        self._exchange, self._writer, self._receive = exchange, writer, receive
        self.is_gone = False

    async def listen(self) -> None:
        """Pass the body on; end the exchange if the client goes."""
        try:
            while not self.is_gone:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    self.is_gone = True
                else:
                    more = message.get("more_body", False)
                    self._writer.write(self._exchange.body(message.get("body", b""), more=more))
                    await self._writer.drain()
        except OSError:
            # A serving generation that refuses the rest of a body has said why in its answer, which is still read.
            return
        except ForwardingError:
            pass
        self._writer.transport.abort()


async def _answer(
    exchange: Exchange,
    reader: asyncio.StreamReader,
    send: Callable[[Message], Awaitable[None]],
    *,
    is_http_1: bool,
) -> None:
    while not exchange.is_complete:
        data = await reader.read(_READ_BYTES)
        for part in exchange.received(data):
            if isinstance(part, Head):
                # The client reconnects for its next request, and meets the generation that serves.
                headers = [*part.headers, (b"connection", b"close")] if is_http_1 else part.headers
                await send({"type": "http.response.start", "status": part.status, "headers": headers})
            else:
                await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
