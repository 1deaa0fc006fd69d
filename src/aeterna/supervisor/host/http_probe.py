"""One HTTP/1.1 request over a connected socket, as a probe makes it: what the answer's status is, and in what words.

May not know where the connection leads. The invariant: the answer is read to its end or to `BODY_BYTES_MAX`, never
followed elsewhere, and whatever the server sends ends as an answer or as an `UnansweredError`.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import h11

from aeterna.supervisor.core.health import Sample
from aeterna.supervisor.host.dialing import Address, Progress, UnansweredError, blame, explain, show_address

BODY_BYTES_MAX = 64 * 1024
"""How much of an answer's body is read; a longer one is cut off, which is no failure."""

_HEAD_BYTES_MAX = 64 * 1024
_EXCERPT_BYTES = 200
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class HttpQuestion:
    """What to ask: ``address`` to connect to, ``host`` for the request's header, and the path with its query."""

    address: Address
    host: str
    target: str


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The status, its words, the beginning of the body, and whether the body was read to its end."""

    status: int
    reason: str
    excerpt: str
    is_whole: bool


def read_url(url: str, default_address: Address | None) -> HttpQuestion:
    """What an absolute ``http`` URL, or a path on the default address, asks for; raises `ValueError`, saying why."""
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe=_PATH_SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=_PATH_SAFE + "?")
    if parts.scheme == "http" and parts.hostname:
        address: Address = (parts.hostname, parts.port or 80)
        return HttpQuestion(address, show_address(address), target)
    if parts.scheme or parts.netloc or not url.startswith("/"):
        raise ValueError(f"{url!r} is neither a path nor an http URL")
    if default_address is None:
        raise ValueError(f"the service has no socket on which {url!r} could be asked")
    host = "localhost" if isinstance(default_address, str) else show_address(default_address)
    return HttpQuestion(default_address, host, target)


async def ask(sock: socket.socket, question: HttpQuestion, progress: Progress) -> HttpAnswer:
    """Send the request and read the answer; raises `UnansweredError`. Waits without end, for the caller bounds it."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX)
    try:
        progress.stage = "the request was being sent"
        await _send(sock, connection, question)
        progress.stage = "the server had not answered"
        head = await _head(sock, connection)
        progress.stage = f"the server had answered {head.status_code}, but not to the end"
        body, is_whole = await _body(sock, connection)
    except h11.RemoteProtocolError as error:
        raise UnansweredError(Sample.FAILED, f"the answer is no valid HTTP: {error}") from error
    except h11.LocalProtocolError as error:
        raise UnansweredError(Sample.UNKNOWN, f"the request is no valid HTTP: {error}") from error
    except OSError as error:
        raise UnansweredError(blame(error), f"the connection broke: {explain(error)}") from error
    reason = head.reason.decode("latin-1")
    return HttpAnswer(head.status_code, reason, body[:_EXCERPT_BYTES].decode(errors="replace"), is_whole)


async def wait_end(sock: socket.socket) -> None:
    """Wait until the server has closed its side; what it still sends is dropped."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(sock, 65536):
            pass
    except OSError:
        pass  # reset: closed as well


async def _send(sock: socket.socket, connection: h11.Connection, question: HttpQuestion) -> None:
    headers = [("Host", question.host), ("User-Agent", "aeterna-probe"), ("Accept", "*/*"), ("Connection", "close")]
    request = connection.send(h11.Request(method="GET", target=question.target, headers=headers))
    end = connection.send(h11.EndOfMessage())
    await asyncio.get_running_loop().sock_sendall(sock, (request or b"") + (end or b""))


async def _head(sock: socket.socket, connection: h11.Connection) -> h11.Response:
    while True:
        event = await _next_event(sock, connection)
        if isinstance(event, h11.Response):
            return event


async def _body(sock: socket.socket, connection: h11.Connection) -> tuple[bytes, bool]:
    body = bytearray()
    while len(body) <= BODY_BYTES_MAX:
        event = await _next_event(sock, connection)
        if isinstance(event, h11.EndOfMessage):
            return bytes(body), True
        if isinstance(event, h11.Data):
            body += event.data
    return bytes(body), False


async def _next_event(sock: socket.socket, connection: h11.Connection) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        data = await asyncio.get_running_loop().sock_recv(sock, 65536)
        if not data and connection.their_state is h11.SEND_RESPONSE and not connection.trailing_data[0]:
            raise UnansweredError(Sample.FAILED, "the server closed the connection without an answer")
        connection.receive_data(data)
    return event
