"""The ASGI middleware by itself: what it leaves alone, and how it behaves when something breaks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aeterna.handover.asgi import HandoverMiddleware
from aeterna.handover.forwarding import Call, Exchange, ForwardingError, Head
from aeterna.handover.gate import Gate
from aeterna.handover.listening import Address, addresses, inherited
from aeterna.handover.serving_options import ServingOptions

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [],
    "server": ("127.0.0.1", 80),
    "client": ("127.0.0.1", 5),
}


async def nothing() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


class Sent(list[dict[str, Any]]):
    """What reached the server."""

    async def __call__(self, message: Any) -> None:
        self.append(message)


async def answer(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"keep-alive")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def test_without_a_supervisor_everything_passes_through_untouched() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    sent = Sent()
    for kind in ("http", "websocket", "lifespan"):
        scope = {"type": kind}
        await HandoverMiddleware(app)(scope, nothing, sent)
        assert seen.pop() == (scope, nothing, sent)


async def test_an_answer_says_close_once_and_only_when_there_is_a_connection_to_close() -> None:
    gate = Gate()
    app = HandoverMiddleware(answer, gate=gate, options=ServingOptions())
    gate.start_drain(100)
    for version, expected in (("1.1", [(b"connection", b"close")]), ("2", [(b"connection", b"keep-alive")])):
        sent = Sent()
        await app({**SCOPE, "http_version": version}, nothing, sent)
        assert sent[0]["headers"] == expected


async def test_a_request_that_raises_leaves_the_gate() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    gate = Gate()
    with pytest.raises(ZeroDivisionError):
        await HandoverMiddleware(app, gate=gate, options=ServingOptions())(SCOPE, nothing, Sent())
    assert gate.inflight == 0


async def test_a_request_that_the_server_cancels_is_cancelled() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    gate = Gate()
    task = asyncio.create_task(
        HandoverMiddleware(app, gate=gate, options=ServingOptions())(SCOPE, nothing, Sent())  # type: ignore[arg-type]
    )
    while not gate.inflight:
        await asyncio.wait([task], timeout=0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.inflight == 0


async def test_an_answer_of_the_other_generation_that_breaks_off_breaks_the_connection() -> None:
    """An error, and no end of the body: the server closes, and the client sees that something is missing."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    gate = Gate()
    gate.standby()
    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as other:
        address = Address(host="127.0.0.1", port=other.sockets[0].getsockname()[1])
        app = HandoverMiddleware(answer, gate=gate, options=ServingOptions(addresses={"http": address}))
        sent = Sent()
        with pytest.raises(ForwardingError):
            await app({**SCOPE, "method": "POST"}, nothing, sent)
    assert sent[-1].get("more_body") is True
    assert gate.inflight == 0


@pytest.mark.parametrize(("method", "status", "asked"), [("GET", 200, 2), ("POST", 502, 1)])
async def test_only_what_may_be_asked_twice_is_asked_twice(method: str, status: int, asked: int) -> None:
    count = 0

    async def refuse_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        if count > 1:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    gate = Gate()
    gate.standby()
    async with await asyncio.start_server(refuse_once, "127.0.0.1", 0) as other:
        address = Address(host="127.0.0.1", port=other.sockets[0].getsockname()[1])
        app = HandoverMiddleware(answer, gate=gate, options=ServingOptions(addresses={"http": address}))
        sent = Sent()
        await app({**SCOPE, "method": method}, nothing, sent)
    assert sent[0]["status"] == status
    assert count == asked


async def test_a_client_that_leaves_ends_the_request_at_the_other_generation() -> None:
    left = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        left.set()
        writer.close()

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    gate = Gate()
    gate.standby()
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as other:
        address = Address(host="127.0.0.1", port=other.sockets[0].getsockname()[1])
        app = HandoverMiddleware(answer, gate=gate, options=ServingOptions(addresses={"http": address}))
        sent = Sent()
        await app(SCOPE, gone, sent)
        async with asyncio.timeout(5):
            await left.wait()
    assert sent == []


def test_what_belongs_to_one_connection_is_not_passed_on() -> None:
    headers = [(b"connection", b"x-a, close"), (b"x-a", b"1"), (b"te", b"trailers"), (b"host", b"h"), (b"x-b", b"2")]
    call = Call(b"GET", b"/", headers, client="192.0.2.1")
    names = dict(call.request().headers)
    assert b"x-a" not in names
    assert b"te" not in names
    assert names[b"x-b"] == b"2"
    assert names[b"x-forwarded-for"] == b"192.0.2.1"
    assert names[b"connection"] == b"close"


def test_an_answer_that_is_no_http_is_an_error_of_the_forwarding() -> None:
    exchange = Exchange(Call(b"GET", b"/", [(b"host", b"h")]))
    exchange.begin()
    with pytest.raises(ForwardingError):
        list(exchange.received(b"garbage\r\n\r\n"))


def test_interim_answers_are_skipped() -> None:
    exchange = Exchange(Call(b"GET", b"/", [(b"host", b"h")]))
    exchange.begin()
    parts = list(exchange.received(b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 No\r\nserver: x\r\nx-a: 1\r\n\r\n"))
    assert parts == [Head(204, b"No", [(b"x-a", b"1")])]
    assert exchange.is_complete


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("0.0.0.0:80", Address("127.0.0.1", 80)),
        ("[::]:80", Address("::1", 80)),
        ("[2001:db8::1]:80", Address("2001:db8::1", 80)),
        ("example.test:80", Address("example.test", 80)),
        ("unix:/run/x.sock", Address(path="/run/x.sock")),
    ],
)
def test_an_address_is_read_as_the_supervisor_writes_it(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert addresses({"AETERNA_LISTEN": f'{{"http": "{text}"}}'}) == {"http": address}


def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match="is no address"):
        Address.parse("localhost")


def test_a_request_goes_to_the_address_it_came_to() -> None:
    web, admin, local = Address("127.0.0.1", 80), Address("127.0.0.1", 81), Address(path="/s")
    options = ServingOptions(addresses={"http": web, "admin": admin, "local": local})
    assert options.address_of(("10.0.0.1", 81)) == admin
    assert options.address_of(("/s", None)) == local
    assert options.address_of(("10.0.0.1", 8443)) == web
    assert options.address_of(None) == web
    assert ServingOptions().address_of(("10.0.0.1", 81)) is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LISTEN_FDS": "2", "LISTEN_PID": "auto", "LISTEN_FDNAMES": "http:admin"}, {"http": 3, "admin": 4}),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "auto"}, {"0": 3, "1": 4}),
        ({"LISTEN_FDS": "2", "LISTEN_PID": "auto", "LISTEN_FDNAMES": "a:a"}, {"a": 3, "a.1": 4}),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {}),
        ({"LISTEN_FDS": "1"}, {}),
        ({"LISTEN_PID": "auto"}, {}),
    ],
)
def test_descriptors_of_another_process_are_left_alone(environ: dict[str, str], expected: dict[str, int]) -> None:
    assert inherited(environ) == expected


def test_children_of_a_server_inherit_neither_its_sockets_nor_their_announcement() -> None:
    program = (
        "import os, subprocess, sys\n"
        "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': 'auto', 'LISTEN_FDNAMES': 'http'}\n"
        "from aeterna.handover.listening import inherited, keep_from_children\n"
        "os.dup2(os.open('/dev/null', os.O_RDONLY), 3)\n"
        "assert keep_from_children() == inherited() == {'http': 3}\n"
        'child = "import os; print(os.environ.get(\\"LISTEN_FDS\\"), os.path.exists(\\"/proc/self/fd/3\\"))"\n'
        "subprocess.run([sys.executable, '-c', child], close_fds=False, check=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "None False\n"
