"""An application with memory to hand over: BENCH_STATE_MIB of it, filled by the first request that finds it empty.

The headers `x-born` and `x-end` are what the first generation wrote at its start and at its end: both are 1 for as long
as the memory lives on. BENCH_STATE_KIND is ``buffer`` (memory that changes hands) or ``value`` (copied).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from aeterna import handover
from bench.supervisor.apps.release import who_answers

MIB = 1024 * 1024
SIZE = int(os.environ.get("BENCH_STATE_MIB", "1")) * MIB
BORN = 1

if os.environ.get("BENCH_STATE_KIND") == "value":
    _value = handover.state("memory", default=lambda: bytearray(SIZE))
else:
    _buffer = handover.buffer("memory", SIZE)


def _memory() -> Any:
    return _value if os.environ.get("BENCH_STATE_KIND") == "value" else _buffer.view


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI entry point."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    memory = _memory()
    if memory[0] == 0:
        memory[:] = bytes((BORN,)) * SIZE
    body, headers = who_answers()
    headers += [(b"x-born", str(memory[0]).encode()), (b"x-end", str(memory[SIZE - 1]).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
