"""The WSGI middleware that makes a handover invisible to clients, for servers of threads such as gunicorn's.

::

    app = HandoverMiddleware(app)

As `aeterna.handover.asgi`: ACTIVE runs the application, PAUSED holds the request's thread, STANDBY asks the generation
that serves, and while the generation drains each answer ends its connection. Put it outermost: a server's own
``start_response`` is how gunicorn is told to close, since WSGI has no word for it.

Invariant: the application runs only between ``gate.enter()`` and ``gate.leave()``, its body included.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aeterna.handover.gate import Gate, GateChange, ServingRole
from aeterna.handover.gate import gate as process_gate
from aeterna.handover.serving_options import ServingOptions, is_managed

__all__ = ["HandoverMiddleware"]

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Body = Iterable[bytes]
Application = Callable[[Environ, StartResponse], Body]

_BUSY_TEXT = b"The service is being replaced; try again.\n"
_RETRY = b"retry: 1000\n\n"
_ENDS_OF_EVENT = (b"\n\n", b"\r\n\r\n")


class HandoverMiddleware:
    """Wraps a WSGI application. ``gate`` and ``options`` default to those of the process and its environment.

    Given neither, and without a supervisor, it passes everything through.
    """

    def __init__(self, app: Application, *, gate: Gate | None = None, options: ServingOptions | None = None) -> None:
        self.app = app
        self._gate = gate if gate is not None else process_gate() if is_managed() else None
        self._options = options or ServingOptions.from_environ()
        self._changed = threading.Condition()
        self._parked = 0
        if self._gate is not None:
            self._gate.add_listener(self._gate_changed)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        if self._gate is None:
            return self.app(environ, start_response)
        while True:
            self._gate.enter()
            role = self._gate.role
            if role is ServingRole.ACTIVE:
                return self._run(self._gate, environ, start_response)
            body = None
            try:
                if role is ServingRole.STANDBY:
                    body = self._pass_on(self._gate, environ, start_response)
            finally:
                if body is None:
                    self._gate.leave()
            if body is not None:
                return body
            if not self._park(self._gate, role):
                return _refuse(start_response)

    def _run(self, gate: Gate, environ: Environ, start_response: StartResponse) -> Body:
        response = _Response(gate, start_response)
        try:
            body = self.app(environ, response.start)
        except BaseException:
            gate.leave()
            raise
        if isinstance(body, environ.get("wsgi.file_wrapper", ())):
            # The server sends the file by itself, if it finds it unwrapped; no application code runs any more.
            gate.leave()
            sent_by_the_server: Body = body
            return sent_by_the_server
        return response.body(body)

    def _park(self, gate: Gate, role: ServingRole) -> bool:
        """Wait for another role than this one; False when too many wait, or it takes too long."""
        with self._changed:
            if self._parked >= self._options.parked_max:
                return False
            self._parked += 1
            try:
                return self._changed.wait_for(lambda: gate.role is not role, self._options.park_s)
            finally:
                self._parked -= 1

    def _gate_changed(self, change: GateChange) -> None:
        with self._changed:
            self._changed.notify_all()

    def _pass_on(self, gate: Gate, environ: Environ, start_response: StartResponse) -> Body | None:
        """The answer of the serving generation, which leaves the gate at its end; None when the role has changed."""
        # Imported at the first request that needs it: most processes never do.
        from aeterna.handover import forwarding_threads
        from aeterna.handover.forwarding import HOPS_MAX, ForwardingError, hops_of

        call = forwarding_threads.call_of(environ)
        address = self._options.address_of((environ["SERVER_NAME"], int(environ.get("SERVER_PORT") or 0)))
        if address is None or hops_of(call.headers) >= HOPS_MAX:
            return None
        try:
            connection = forwarding_threads.connect(
                address, self._options.park_s, is_wanted=lambda: gate.role is ServingRole.STANDBY
            )
        except OSError:
            gate.leave()
            return _refuse(start_response)
        if connection is None:
            return None
        answer = forwarding_threads.Answer(call, connection, gate.leave)
        try:
            status, headers = answer.begin(environ["wsgi.input"])
        except ForwardingError:
            answer.close()
            return _refuse(start_response, "502 Bad Gateway")
        _end_connection(start_response)
        start_response(status, headers)
        return answer


class _Response:
    """The answer of the application on its way to the server."""

    def __init__(self, gate: Gate, start_response: StartResponse) -> None:
        self._gate, self._start_response = gate, start_response
        self._is_event_stream = False

    def start(self, status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        """As the server's own ``start_response``."""
        if _is_leaving(self._gate):
            headers = [*headers, *_end_connection(self._start_response)]
        for name, value in headers:
            if name.lower() == "content-type":
                self._is_event_stream = value.startswith("text/event-stream")
        return self._start_response(status, headers, *error)

    def body(self, parts: Body) -> Body:
        """The body, which leaves the gate when it is closed."""
        # A server may take the length of the body from a list of one part.
        return _WholeBody(self._gate, parts) if isinstance(parts, list) else _Parts(self, self._gate, parts)

    def ends_after(self, part: bytes) -> bool:
        """Whether an event stream should end here, for its client to come back elsewhere."""
        return self._is_event_stream and _is_leaving(self._gate) and part.endswith(_ENDS_OF_EVENT)


class _WholeBody(list[bytes]):
    def __init__(self, gate: Gate, parts: list[bytes]) -> None:
        super().__init__(parts)
        self._gate, self._close = gate, getattr(parts, "close", None)
        self._is_closed = False

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            with contextlib.ExitStack() as stack:
                stack.callback(self._gate.leave)
                if self._close is not None:
                    self._close()


class _Parts:
    """A body that the application makes while it is sent."""

    def __init__(self, response: _Response, gate: Gate, parts: Body) -> None:
        self._response, self._gate, self._body = response, gate, parts
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for part in self._body:
            yield part
            if self._response.ends_after(part):
                yield _RETRY
                return

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            with contextlib.ExitStack() as stack:
                stack.callback(self._gate.leave)
                close = getattr(self._body, "close", None)
                if close is not None:
                    close()


def _is_leaving(gate: Gate) -> bool:
    return gate.draining or gate.role is not ServingRole.ACTIVE


def _end_connection(start_response: StartResponse) -> list[tuple[str, str]]:
    """Have the server close the connection after this answer; the header that asks for it, where a header does."""
    force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
    if force_close is None:
        return [("Connection", "close")]
    # gunicorn drops such a header, and writes its own.
    force_close()
    return []


def _refuse(start_response: StartResponse, status: str = "503 Service Unavailable") -> Body:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(_BUSY_TEXT)))]
    start_response(status, [*headers, ("Retry-After", "1"), *_end_connection(start_response)])
    return [_BUSY_TEXT]
