"""The ASGI application of the serving tests: ``bare``, and ``app`` with the middleware around it. No framework."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os

from aeterna import handover
from aeterna.handover.asgi import HandoverMiddleware
from tests.handover import serving_control

PID = str(os.getpid()).encode()
COUNTER = handover.state("counter", default=lambda: {"value": 0})


async def bare(scope, receive, send):
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _echo(scope, receive, send)
    else:
        await _route(scope, receive, send)


async def _lifespan(receive, send):
    await receive()
    serving_control.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _route(scope, receive, send):
    match scope["path"].split("/")[1:]:
        case ["count"]:
            COUNTER["value"] += 1
            await _answer(send, str(COUNTER["value"]).encode())
        case ["upload"]:
            await _answer(send, await _digest(receive))
        case ["wait", name]:
            await _released(name)
            await _answer(send, PID)
        case ["stream", name]:
            await _start(send, b"application/octet-stream")
            await _part(send, b"first")
            await _released(name)
            await _part(send, b"last", more=False)
        case ["sse"]:
            await _events(receive, send)
        case ["hang"]:
            await asyncio.Event().wait()
        case ["headers"]:
            await _answer(send, b"\n".join(b"%s: %s" % header for header in scope["headers"]))
        case ["client"]:
            await _answer(send, scope["client"][0].encode())
        case _:
            await _answer(send, PID)


async def _digest(receive):
    digest, size, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    return f"{size} {digest.hexdigest()}".encode()


async def _events(receive, send):
    await _start(send, b"text/event-stream")
    await _part(send, b"data: hello\n\n")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    serving_control.event("sse-ended").set()


async def _echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            serving_control.event("ws-ended").set()
            return
        if message["text"] == "count":
            COUNTER["value"] += 1
            await send({"type": "websocket.send", "text": str(COUNTER["value"])})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


async def _released(name):
    await asyncio.to_thread(serving_control.event(name).wait)


async def _start(send, kind):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})


async def _part(send, body, *, more=True):
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _answer(send, body):
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = HandoverMiddleware(bare, options=serving_control.options())
