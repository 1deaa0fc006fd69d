"""Talking to a running supervisor: documents, orders, and waiting for what becomes of them.

Turns refusals into errors with exit codes. A supervisor that is replaced while a command waits is asked again: its
socket outlives it. Orders are never sent twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aeterna.cli import exit_codes
from aeterna.cli.control_connection import ControlConnection
from aeterna.cli.exit_codes import CodedError
from aeterna.cli.instance import Instance, find_instance
from aeterna.cli.quoting import quoted

TIMEOUT_S = 10.0
WAIT_S = 30
_TRIES = 5

_CODES = {
    400: exit_codes.USAGE,
    404: exit_codes.NOT_FOUND,
    409: exit_codes.CONFLICT,
    422: exit_codes.USAGE,
}


class NotRunningError(CodedError):
    """No supervisor runs for this configuration."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(
            exit_codes.NOT_FOUND,
            f"no supervisor runs for {instance.config}: start it with `aeterna start -c {instance.config}`",
        )


class SupervisorClient:
    """One supervisor. ``timeout_s``: how long it may take to answer."""

    def __init__(self, instance: Instance, timeout_s: float = TIMEOUT_S) -> None:
        self.instance = instance
        self._timeout_s = timeout_s
        self._connection: ControlConnection | None = None

    def __enter__(self) -> SupervisorClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def get(self, path: str, wait_s: int = 0, after: int | None = None) -> dict[str, Any]:
        """A document. With ``wait_s`` it may take that long: see the control API's ``wait`` and ``after``."""
        query = "&".join([*([f"wait={wait_s}"] if wait_s else []), *([f"after={after}"] if after is not None else [])])
        target = f"{path}?{query}" if query else path
        for last_try in range(_TRIES):
            try:
                return self._document("GET", target, b"", self._timeout_s + wait_s)
            except ConnectionError as error:
                if last_try == _TRIES - 1:
                    raise self._silent(str(error)) from error
        raise AssertionError("the loop returns or raises")

    def post(self, path: str, fields: Mapping[str, Any], wait_s: int = WAIT_S) -> dict[str, Any]:
        """Give an order; the answer, which may take ``wait_s`` longer than others, says whether it is carried out."""
        body = json.dumps(fields).encode()
        try:
            return self._document("POST", path, body, self._timeout_s + wait_s)
        except ConnectionError as error:
            raise self._silent(f"{error}; `aeterna status` shows whether the order was taken") from error

    def stream(self, path: str) -> Iterator[bytes]:
        """The lines of a stream, until it ends. Raises `ConnectionError` if it breaks off."""
        connection = self._connect()
        status, chunks = connection.stream(path)
        if status != 200:
            raise self._refusal(status, b"".join(chunks))
        rest = b""
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines

    def one_service(self, given: str | None) -> str:
        """The service meant: the one given, else the only one. Raises `CodedError` if there are several."""
        if given is not None:
            return given
        names = [service["name"] for service in self.get("/v1/services")["services"]]
        if len(names) != 1:
            raise CodedError(exit_codes.USAGE, f"there are several services; name one of {', '.join(names)}")
        return str(names[0])

    def follow_reload(self, reload_id: str) -> Iterator[dict[str, Any]]:
        """The reload's report each time it has changed; the last one has a result."""
        path = f"/v1/reloads/{quoted(reload_id)}"
        report = self.get(path)
        while report["result"] is None:
            yield report
            report = self.get(path, WAIT_S, report["event_id"])
        yield report

    def follow_service(self, name: str) -> Iterator[dict[str, Any]]:
        """The service's document now, and each time it has changed."""
        path = f"/v1/services/{quoted(name)}"
        document = self.get(path)
        while True:
            yield document
            document = self.get(path, WAIT_S, document["event_id"])

    def _document(self, method: str, target: str, body: bytes, timeout_s: float) -> dict[str, Any]:
        connection = self._connect()
        try:
            answer = connection.request(method, target, body, timeout_s)
        except TimeoutError as error:
            self._drop()
            raise self._silent(f"no answer within {timeout_s:g} s") from error
        except OSError:
            self._drop()
            raise
        if answer.status >= 400:
            raise self._refusal(answer.status, answer.body)
        document: dict[str, Any] = json.loads(answer.body)
        return document

    def _connect(self) -> ControlConnection:
        if self._connection is None:
            try:
                self._connection = ControlConnection(self.instance.control_socket, self._timeout_s)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise NotRunningError(self.instance) from error
            except PermissionError as error:
                raise CodedError(exit_codes.FAILED, f"the supervisor belongs to another user: {error}") from error
            except TimeoutError as error:
                raise self._silent("it takes no connection") from error
            except OSError as error:
                # A path that is too long for a socket, for one: `aeterna start` would have refused it.
                raise NotRunningError(self.instance) from error
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _refusal(self, status: int, body: bytes) -> CodedError:
        # A refusal may end the connection.
        self._drop()
        try:
            problem = json.loads(body)
        except ValueError:
            problem = {}
        detail = str(problem.get("detail") or f"the supervisor answered {status}")
        return CodedError(_CODES.get(status, exit_codes.FAILED), detail)

    def _silent(self, why: str) -> CodedError:
        return CodedError(exit_codes.FAILED, f"the supervisor of {self.instance.config} does not answer: {why}")


def connect(given: str | None, timeout_s: float = TIMEOUT_S) -> SupervisorClient:
    """The supervisor that a command is about."""
    return SupervisorClient(find_instance(given), timeout_s)
