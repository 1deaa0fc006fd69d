"""Talking to a running server: its HTTP API, without what a whole HTTP client or gRPC takes to load.

Refusals become the errors that they were at the server. A server of several addresses is asked at each in turn until
one answers; an order that may have been carried out is not repeated elsewhere.
"""

from __future__ import annotations

import json
from _socket import SOCK_STREAM, getaddrinfo, socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aeterna.cli.http_connection import Answer, BrokenAnswerError, HttpConnection, Socket
from aeterna.cli.quoting import quoted
from aeterna.cli.server_choice import Address, ServerChoice
from aeterna.kernel import errors
from aeterna.kernel.errors import AeternaError, UnavailableError, UsageError

TIMEOUT_S = 30.0
TRY_S = 5.0
"""So long one of several addresses may be silent."""
QUIET_S = 45.0
"""A stream of changes has a sign of life every 15 s."""

Query = Mapping[str, str | int | float | Sequence[str] | None]
Document = dict[str, Any]


class ServerClient:
    """One server, as a context manager. Raises what the server answers, and `UnavailableError` if none does."""

    def __init__(self, choice: ServerChoice, connect_s: float) -> None:
        self._choice = choice
        self._connect_s = connect_s
        self._addresses = list(choice.addresses)
        self._connection: HttpConnection | None = None
        self._address = choice.addresses[0]

    def __enter__(self) -> ServerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return self._address.text

    def get(self, path: str, query: Query | None = None, timeout_s: float = TIMEOUT_S) -> Document:
        """A document."""
        return self._ask("GET", path, query, b"", timeout_s, is_safe=True)

    def post(self, path: str, body: Document, query: Query | None = None, timeout_s: float = TIMEOUT_S) -> Document:
        """Give an order."""
        return self._ask("POST", path, query, json.dumps(body).encode(), timeout_s, is_safe=False)

    def put(self, path: str, body: Document) -> Document:
        """Say how something is to be."""
        return self._ask("PUT", path, None, json.dumps(body).encode(), TIMEOUT_S, is_safe=False)

    def patch(self, path: str, body: Document) -> Document:
        """Say how some of it is to be."""
        return self._ask("PATCH", path, None, json.dumps(body).encode(), TIMEOUT_S, is_safe=False)

    def delete(self, path: str, query: Query | None = None) -> Document:
        """Take something away."""
        return self._ask("DELETE", path, query, b"", TIMEOUT_S, is_safe=False)

    def lines(self, path: str, query: Query | None = None) -> Iterator[str]:
        """The lines of a stream without an end. Raises `UnavailableError` when it breaks off."""
        try:
            status, chunks = self._connected().stream(self._target(path, query), QUIET_S)
            if status != 200:
                raise _refusal(status, b"".join(chunks))
            rest = b""
            for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
        except OSError as error:
            raise self._silent(error) from error
        raise UnavailableError(f"server {self.place} ended the stream")

    def _ask(
        self, method: str, path: str, query: Query | None, body: bytes, timeout_s: float, *, is_safe: bool
    ) -> Document:
        target = self._target(path, query)
        answer = self._answer(method, target, body, timeout_s, is_safe=is_safe)
        if answer.status >= 400:
            raise _refusal(answer.status, answer.body)
        document: Document = json.loads(answer.body)
        return document

    def _answer(self, method: str, target: str, body: bytes, timeout_s: float, *, is_safe: bool) -> Answer:
        tries = len(self._addresses) if is_safe else 1
        for left in reversed(range(tries)):
            connection = self._connected()
            # One that hangs must not take the time of the others; who asks for a long wait says so.
            patience_s = min(timeout_s, TRY_S) if left and timeout_s == TIMEOUT_S else timeout_s
            try:
                return connection.request(method, target, body, patience_s)
            except OSError as error:
                self._drop()
                # The next connection is to another address.
                self._addresses.remove(self._address)
                self._addresses.append(self._address)
                if not left:
                    raise self._silent(error) from error
        raise AssertionError("the loop returns or raises")

    def _connected(self) -> HttpConnection:
        if self._connection is not None:
            return self._connection
        problems = []
        for address in self._addresses:
            try:
                connected = self._open(address)
            except OSError as error:
                problems.append(f"{address.text} ({_words(error)})")
                continue
            self._address = address
            bearer = f"Authorization: Bearer {self._choice.token}\r\n" if self._choice.token else ""
            headers = f"{bearer}Content-Type: application/json\r\nAccept: application/json\r\n"
            self._connection = HttpConnection(connected, address.netloc, headers)
            return self._connection
        raise UnavailableError(
            f"no server answers at {', '.join(problems)}: check the address (--server), and that `aeterna serve` runs "
            "there. The HTTP API listens at the port after the gRPC port, unless a URL says otherwise"
        )

    def _open(self, address: Address) -> Socket:
        if address.is_encrypted:
            from aeterna.cli.tls_socket import open_encrypted

            return open_encrypted(address, self._choice, self._connect_s)
        problem: OSError | None = None
        for family, kind, protocol, _, place in getaddrinfo(address.host, address.port, 0, SOCK_STREAM):
            plain = socket(family, kind, protocol)
            try:
                plain.settimeout(self._connect_s)
                plain.connect(place)
            except OSError as error:
                plain.close()
                problem = error
            else:
                return plain
        raise problem or OSError("the name means no address")

    def _target(self, path: str, query: Query | None) -> str:
        given = {"namespace": self._choice.namespace, **(query or {})}
        pairs = [
            f"{name}={quoted(str(each))}"
            for name, value in given.items()
            if value is not None
            for each in ([value] if isinstance(value, str | int | float) else value)
        ]
        return f"{path}?{'&'.join(pairs)}" if pairs else path

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _silent(self, error: OSError) -> UnavailableError:
        hint = "; is it the HTTP port, and without TLS?" if isinstance(error, BrokenAnswerError) else ""
        return UnavailableError(f"server {self.place} does not answer: {_words(error)}{hint}")


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return (error.strerror or str(error)).lower()


def _refusal(status: int, body: bytes) -> AeternaError:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = {}
    if not isinstance(problem, dict) or "detail" not in problem:
        return UnavailableError(f"the server answered with status {status}, and not as an Aeterna server does")
    name, text = str(problem.get("error", "")), str(problem["detail"])
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, AeternaError):
        # Some classes want more than their text; it is the text that counts here.
        error = kind.__new__(kind)
        Exception.__init__(error, text)
        return error
    return UsageError(text) if status < 500 else AeternaError(text)
