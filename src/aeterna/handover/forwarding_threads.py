"""Passing a request on to the generation that serves, from a thread: the blocking side of `forwarding`."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from aeterna.handover.forwarding import Call, Exchange, ForwardingError, Head, Headers
from aeterna.handover.listening import Address

__all__ = ["Answer", "call_of", "connect"]

_READ_BYTES = 65_536
_RETRY_CONNECT_S = 0.02


def connect(address: Address, within_s: float, is_wanted: Callable[[], bool]) -> socket.socket | None:
    """A connection to the serving generation; None when it is not ``is_wanted`` any more.

    Tries again for about ``within_s`` seconds, then raises `OSError`.
    """
    tries_left = max(1, round(within_s / _RETRY_CONNECT_S))
    while is_wanted():
        try:
            return _connect(address, within_s)
        except OSError:
            tries_left -= 1
            if not tries_left:
                raise
            threading.Event().wait(_RETRY_CONNECT_S)
    return None


def _connect(address: Address, timeout_s: float) -> socket.socket:
    if not address.path:
        connection = socket.create_connection((address.host, address.port), timeout=timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address.path)
        except OSError:
            connection.close()
            raise
    # The application may take as long as it likes; the server has its own limits.
    connection.settimeout(None)
    return connection


def call_of(environ: dict[str, Any]) -> Call:
    """The request that WSGI describes."""
    path = quote(f"{environ.get('SCRIPT_NAME', '')}{environ['PATH_INFO']}", encoding="latin-1")
    query = environ.get("QUERY_STRING", "")
    # The first is gunicorn's, and exactly what was asked.
    target = environ.get("RAW_URI") or (f"{path}?{query}" if query else path)
    return Call(
        method=environ["REQUEST_METHOD"].encode("ascii"),
        target=target.encode("latin-1"),
        headers=list(_headers(environ)),
        client=environ.get("REMOTE_ADDR", ""),
        scheme=environ["wsgi.url_scheme"],
        version=environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
    )


class Answer:
    """The answer of the serving generation, as a WSGI body; ``closed`` is called at its end."""

    def __init__(self, call: Call, connection: socket.socket, closed: Callable[[], None]) -> None:
        self._call, self._connection, self._closed = call, connection, closed
        self._exchange = Exchange(call)
        self._parts: list[bytes] = []
        self._is_closed = False

    def begin(self, body: Any) -> tuple[str, list[tuple[str, str]]]:
        """Send the request with its body; status and headers of the answer. Raises `ForwardingError`."""
        # One that refuses the rest of a body has said why in its answer.
        with contextlib.suppress(OSError):
            self._connection.sendall(self._exchange.begin())
            for part in _parts_of(body, self._call.headers):
                self._connection.sendall(self._exchange.body(part, more=bool(part)))
        for head in self._received():
            if isinstance(head, Head):
                status = f"{head.status} {head.reason.decode('latin-1')}"
                return status, [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        raise ForwardingError("it said nothing")

    def __iter__(self) -> Iterator[bytes]:
        for part in self._received():
            if isinstance(part, bytes):
                yield part

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.close()
            self._closed()

    def _received(self) -> Iterator[Head | bytes]:
        """What arrives, part by part, until the answer is complete."""
        # What came with the head of the answer has been understood already.
        yield from self._exchange.pending()
        while not self._exchange.is_complete:
            try:
                data = self._connection.recv(_READ_BYTES)
            except OSError as error:
                raise ForwardingError(str(error), is_answering=self._exchange.is_answering) from error
            yield from self._exchange.received(data)


def _headers(environ: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            yield name.replace("_", "-").lower().encode("latin-1"), environ[name].encode("latin-1")


def _parts_of(body: Any, headers: Headers) -> Iterator[bytes]:
    """The parts of a request's body, and at last an empty one."""
    lengths = [int(value) for name, value in headers if name == b"content-length"]
    if any(name == b"transfer-encoding" for name, _ in headers):
        while part := body.read(_READ_BYTES):
            yield part
    elif lengths:
        left = lengths[0]
        while left and (part := body.read(min(left, _READ_BYTES))):
            left -= len(part)
            yield part
    yield b""
