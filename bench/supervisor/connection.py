"""An HTTP/1.1 client connection that costs little: one request at a time, the answer's head read by hand.

It reports what happened as an `Answer` and never raises for what a server does; it never sends anything twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from bench.supervisor.records import Outcome


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service listens: a host and port, or the path of a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended. ``keeps``: the server said that the connection stays open."""

    outcome: Outcome
    status: int = 0
    pid: int = 0
    release: str = ""
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of an answer says. ``length`` is None where the connection's end is the answer's end."""

    size: int
    status: int
    length: int | None
    fields: dict[bytes, bytes]

    @property
    def keeps(self) -> bool:
        """Whether the connection is for further requests."""
        return self.length is not None and self.fields.get(b"connection", b"").lower() != b"close"

    def answer(self) -> Answer:
        """The complete answer; an error of the server's is a failure."""
        return Answer(
            outcome=Outcome.OK if self.status < 500 else Outcome.FAILED,
            status=self.status,
            pid=int(self.fields.get(b"x-pid", b"0")),
            release=self.fields.get(b"x-release", b"").decode(),
            keeps=self.keeps,
        )


def parse_head(data: bytes) -> Head | None:
    """The head at the start of the data, or None while it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = data[:end].split(b"\r\n")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip()
    length = fields.get(b"content-length")
    return Head(end + 4, int(lines[0][9:12]), None if length is None else int(length), fields)


def failure(error: BaseException | None) -> Outcome:
    """The class of failure that an error of a connection is; None: the connection was closed in an orderly way."""
    match error:
        case ConnectionRefusedError() | FileNotFoundError():
            return Outcome.REFUSED
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return Outcome.RESET
        case TimeoutError():
            return Outcome.TIMEOUT
        case _:
            return Outcome.FAILED


class Connection(asyncio.Protocol):
    """One connection. ``is_open`` turns false when either side closes it."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._head: Head | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._lost = Outcome.FAILED

    async def ask(self, request: bytes, timeout_s: float) -> Answer:
        """Send the request, and wait for the whole answer or for what became of it."""
        assert self._transport is not None, "connected"
        if not self.is_open:
            return Answer(self._lost)
        loop = asyncio.get_running_loop()
        self._data, self._head, self._waiting = b"", None, loop.create_future()
        timer = loop.call_later(timeout_s, self._finish, Answer(Outcome.TIMEOUT))
        self._transport.write(request)
        try:
            answer = await self._waiting
        finally:
            timer.cancel()
            self._waiting = None
        if not answer.keeps:
            self.close()
        return answer

    def close(self) -> None:
        """Close it; never raises."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        head = self._head = self._head or parse_head(self._data)
        if head is not None and head.length is not None and len(self._data) >= head.size + head.length:
            self._finish(head.answer())

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._lost = failure(error)
        head = self._head
        if error is None and head is not None and head.length is None:
            self._finish(head.answer())
        else:
            self._finish(Answer(self._lost))

    def _finish(self, answer: Answer) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)


async def connect(address: Address, timeout_s: float) -> Connection | Outcome:
    """A new connection, or why there is none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            if address.path:
                _, connection = await loop.create_unix_connection(Connection, address.path)
            else:
                _, connection = await loop.create_connection(Connection, address.host, address.port)
    except OSError as error:
        return failure(error)
    return connection
