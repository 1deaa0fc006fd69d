"""The WSGI middleware by itself; what it does in a server is tested with the ASGI one, under gunicorn."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from aeterna.handover.gate import Gate
from aeterna.handover.serving_options import ServingOptions
from aeterna.handover.wsgi import HandoverMiddleware

ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "http",
}


class Server:
    """What the application tells the server."""

    def __init__(self) -> None:
        self.status, self.headers = "", [("", "")]

    def start_response(self, status: str, headers: list[tuple[str, str]], *error: Any) -> None:
        self.status, self.headers = status, headers


class ClosingServer(Server):
    """As gunicorn: it drops the application's header and has a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closing = False

    def force_close(self) -> None:
        self.is_closing = True


class File:
    """Stands for a server's own wrapper of a file."""

    def __init__(self, name: str) -> None:
        self.name = name


class Body:
    """A body that is made while it is sent."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts, self.is_closed = parts, False

    def __iter__(self) -> Any:
        return iter(self._parts)

    def close(self) -> None:
        self.is_closed = True


def wrapped(body: Any, gate: Gate | None, kind: str = "text/plain", options: ServingOptions | None = None) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", kind)])
        return body

    return HandoverMiddleware(app, gate=gate, options=options or ServingOptions())


def test_without_a_supervisor_everything_passes_through_untouched() -> None:
    body, server = Body([b"a"]), Server()
    assert wrapped(body, None)(ENVIRON, server.start_response) is body


@pytest.mark.parametrize("body", [[b"a", b"b"], Body([b"a", b"b"])])
def test_a_request_is_in_flight_until_its_body_is_closed(body: Any) -> None:
    gate = Gate()
    answer = wrapped(body, gate)(ENVIRON, Server().start_response)
    assert list(answer) == [b"a", b"b"]
    assert gate.inflight == 1
    answer.close()
    answer.close()
    assert gate.inflight == 0
    if isinstance(body, Body):
        assert body.is_closed


def test_a_file_that_the_server_sends_itself_reaches_it_unwrapped() -> None:
    gate, file = Gate(), File("x")
    assert wrapped(file, gate)({**ENVIRON, "wsgi.file_wrapper": File}, Server().start_response) is file
    assert gate.inflight == 0


def test_a_request_that_raises_leaves_the_gate() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise ZeroDivisionError

    gate = Gate()
    with pytest.raises(ZeroDivisionError):
        HandoverMiddleware(app, gate=gate, options=ServingOptions())(ENVIRON, Server().start_response)
    assert gate.inflight == 0


def test_while_it_drains_the_server_is_told_to_close_in_its_own_way() -> None:
    gate = Gate()
    gate.start_drain(100)
    plain, closing = Server(), ClosingServer()
    for server in (plain, closing):
        wrapped([b""], gate)(ENVIRON, server.start_response).close()
    assert ("Connection", "close") in plain.headers
    assert closing.is_closing
    assert ("Connection", "close") not in closing.headers


def test_an_event_stream_ends_after_a_whole_event_and_says_when_to_come_back() -> None:
    gate = Gate()
    body = Body([b"data: 1\n\n", b"data: ", b"2\n\n", b"data: 3\n\n"])
    answer = iter(wrapped(body, gate, "text/event-stream")(ENVIRON, Server().start_response))
    assert next(answer) == b"data: 1\n\n"
    assert next(answer) == b"data: "
    gate.start_drain(100)
    assert list(answer) == [b"2\n\n", b"retry: 1000\n\n"]


def test_a_thread_that_waits_goes_on_when_the_generation_serves_again() -> None:
    gate, answers = Gate(), []
    app = wrapped([b"a"], gate)
    assert gate.pause(10) == 0
    thread = threading.Thread(target=lambda: answers.append(list(app(ENVIRON, Server().start_response))))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    gate.resume()
    thread.join(5)
    assert answers == [[b"a"]]


def test_a_thread_does_not_wait_for_ever_and_neither_do_too_many() -> None:
    gate = Gate()
    assert gate.pause(10) == 0
    for options in (ServingOptions(park_s=0.01), ServingOptions(parked_max=0)):
        server = Server()
        wrapped([b"a"], gate, options=options)(ENVIRON, server.start_response)
        assert server.status == "503 Service Unavailable"
        assert ("Retry-After", "1") in server.headers
    assert gate.inflight == 0
