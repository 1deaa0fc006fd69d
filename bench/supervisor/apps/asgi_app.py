"""The application as raw ASGI: `/` says who answers, `/slow`, `/sse`, `/ws` and `/upload` are for the other clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from bench.supervisor.apps.release import who_answers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """The ASGI entry point."""
    match scope["type"]:
        case "lifespan":
            await _lifespan(receive, send)
        case "websocket":
            await _websocket(receive, send)
        case "http":
            handler = {"/slow": _slow, "/sse": _sse, "/upload": _upload}.get(scope["path"], _hello)
            await handler(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(send: Send) -> None:
    body, headers = who_answers()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _hello(scope: Message, receive: Receive, send: Send) -> None:
    await _answer(send)


async def _slow(scope: Message, receive: Receive, send: Send) -> None:
    """`/slow?ms=500`: an answer that takes its time."""
    await asyncio.sleep(_number(scope, "ms", 500) / 1000)
    await _answer(send)


async def _sse(scope: Message, receive: Receive, send: Send) -> None:
    """`/sse?events=20&ms=50`: so many events, one every so many milliseconds."""
    _, headers = who_answers()
    headers = [(b"content-type", b"text/event-stream"), *headers[2:]]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(_number(scope, "events", 20)):
        await asyncio.sleep(_number(scope, "ms", 50) / 1000)
        event = f"id: {number}\ndata: {number}\n\n".encode()
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _upload(scope: Message, receive: Receive, send: Send) -> None:
    """Counts the bytes of the body; the count is the header `x-received`."""
    received = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        received += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body, headers = who_answers()
    headers.append((b"x-received", str(received).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _websocket(receive: Receive, send: Send) -> None:
    """Echoes every text message."""
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.disconnect":
            return
        else:
            await send({"type": "websocket.send", "text": message.get("text") or ""})


def _number(scope: Message, name: str, default: int) -> int:
    values = parse_qs(scope["query_string"].decode()).get(name)
    return int(values[0]) if values else default
