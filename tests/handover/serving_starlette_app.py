"""A Starlette application with work for the holder of the lease."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from aeterna import handover
from aeterna.handover.asgi import HandoverMiddleware
from aeterna.handover.starlette_lifespan import lifespan
from tests.handover.serving_control import COUNTS, start

COUNTER = handover.state("counter", default=lambda: {"value": 0})


@asynccontextmanager
async def own(app):
    start()
    COUNTS["startups"] += 1
    yield {"greeting": "hello"}
    COUNTS["shutdowns"] += 1


async def consume(app):
    COUNTS["running"] += 1
    COUNTS["started"] += 1
    try:
        await asyncio.Event().wait()
    finally:
        COUNTS["running"] -= 1


async def fail(app):
    raise RuntimeError("the queue is gone")


async def greet(request):
    return PlainTextResponse(request.state.greeting)


async def events(request):
    async def made():
        yield "data: hello\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(made(), media_type="text/event-stream")


routes = [Route("/", greet), Route("/sse", events)]
app = HandoverMiddleware(Starlette(routes=routes, lifespan=lifespan(own, while_leased=[consume, fail])))
