"""An application that counts its requests, in memory that moves with each handover.

The header `x-release` is the count, so that the records of the load tell every answer's number. Release ``unwell``
fails its health check half a second after its first request.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from aeterna import handover

RELEASE = Path(os.environ["BENCH_RELEASE_FILE"]).read_text().strip()
counter: dict[str, int] = handover.state("counter", default=dict)
well_until_s = float("inf")


async def answer(send: Any, status: int, text: str) -> None:
    headers = [(b"content-length", str(len(text)).encode()), (b"x-pid", str(os.getpid()).encode())]
    headers.append((b"x-release", text.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def app(scope: Any, receive: Any, send: Any) -> None:
    """`/health` and `/count` only tell; everything else counts."""
    global well_until_s
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/health":
        await answer(send, 200 if time.monotonic() < well_until_s else 500, "")
        return
    if RELEASE == "unwell":
        well_until_s = min(well_until_s, time.monotonic() + 0.5)
    if scope["path"] != "/count":
        counter["n"] = counter.get("n", 0) + 1
    await answer(send, 200, str(counter.get("n", 0)))
