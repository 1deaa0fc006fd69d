"""HTTP/1.1, as much of it as our own servers speak; loading a whole client takes longer than asking.

Knows requests and answers, nothing of what they mean. One connection serves many requests in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

_READ_BYTES = 65_536
_HEAD_BYTES_MAX = 65_536


class Answer(NamedTuple):
    """The status and the body."""

    status: int
    body: bytes


class BrokenAnswerError(ConnectionError):
    """The other side closed the connection in the middle, or does not speak HTTP."""


class Socket(Protocol):
    """A connected socket, encrypted or not."""

    def close(self) -> None: ...

    def recv(self, bufsize: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> None: ...

    def settimeout(self, value: float | None, /) -> None: ...


class HttpConnection:
    """One connection. ``host``, ``headers``: what every request says. Raises `OSError`: `ConnectionError` if it breaks,
    `TimeoutError` if the answer takes too long."""

    def __init__(self, connected: Socket, host: str = "localhost", headers: str = "") -> None:
        self._socket = connected
        self._constant = f"Host: {host}\r\n{headers}"
        self._buffer = b""

    def close(self) -> None:
        """Close it. Twice does no harm."""
        self._socket.close()

    def request(self, method: str, target: str, body: bytes = b"", timeout_s: float | None = None) -> Answer:
        """Send one request and read its answer; ``timeout_s`` is for each wait for data."""
        if timeout_s is not None:
            self._socket.settimeout(timeout_s)
        status, headers = self._begin(method, target, body)
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, b"".join(self._chunks()))
        return Answer(status, self._exactly(int(headers.get("content-length", "0"))))

    def stream(self, target: str, quiet_s: float | None = None) -> tuple[int, Iterator[bytes]]:
        """Ask for something without an end; the body comes in chunks, for each of which it waits so long, or as long as
        it takes."""
        status, headers = self._begin("GET", target, b"")
        self._socket.settimeout(quiet_s)
        if headers.get("transfer-encoding") == "chunked":
            return status, self._chunks()
        return status, iter([self._exactly(int(headers.get("content-length", "0")))])

    def _begin(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, str]]:
        head = f"{method} {target} HTTP/1.1\r\n{self._constant}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode("ascii") + body)
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if not words[0].startswith("HTTP/1.") or len(words) == 1 or not words[1].isdigit():
            raise BrokenAnswerError(f"{first[:60]!r} is no HTTP")
        headers = (line.partition(":") for line in lines)
        return int(words[1]), {name.lower(): value.strip() for name, _, value in headers}

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._until(b"\r\n") or b"0", 16):
            yield self._exactly(size)
            self._exactly(2)
        self._until(b"\r\n")

    def _until(self, end: bytes) -> bytes:
        while (place := self._buffer.find(end)) < 0:
            if len(self._buffer) > _HEAD_BYTES_MAX:
                raise BrokenAnswerError("the answer has no end")
            self._receive()
        found, self._buffer = self._buffer[:place], self._buffer[place + len(end) :]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _receive(self) -> None:
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise BrokenAnswerError("the other side closed the connection")
        self._buffer += data
