"""An application that writes down which process answered each probe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

PROBES = Path(__file__).parent / "probes"
BODY = os.environ["AETERNA_GENERATION"].encode()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers its generation."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if dict(scope["headers"]).get(b"user-agent") == b"aeterna-probe":
        with PROBES.open("a") as file:
            file.write(f"{os.getpid()}\n")
    headers = [(b"content-length", str(len(BODY)).encode()), (b"x-release", BODY), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
