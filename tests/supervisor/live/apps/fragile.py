"""An application whose every phase of a handover can be slowed down or broken, by a file beside it.

``fault.json`` names, per role of the generation (``old``, ``new``), what the process does: ``slow`` (milliseconds per
point: ``import``, ``quiesce``, ``dump``, ``load``, ``lease``) and ``frames`` (what is done to a kind of frame that it
sends: ``drop``, ``delay``, ``twice``, ``corrupt``, ``truncate``).
"""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from aeterna import handover
from aeterna.handover import channel, frames
from aeterna.handover.asgi import HandoverMiddleware

ROLE = "new" if os.environ.get("AETERNA_ROLE") == "candidate" else "old"
FAULT = json.loads((Path(__file__).parent / "fault.json").read_text())
if str(os.environ.get("AETERNA_GENERATION")) not in FAULT.get("generations", []):
    FAULT = {}
MINE: dict[str, Any] = FAULT.get(ROLE, {})


def linger(point: str) -> None:
    """Take as long as the fault says."""
    time.sleep(MINE.get("slow", {}).get(point, 0) / 1000)


def dump(value: dict[str, int]) -> bytes:
    linger("dump")
    if MINE.get("dump") == "full":
        raise OSError(errno.ENOSPC, "no space left")
    return json.dumps(value).encode()


def load(value: dict[str, int], data: bytes) -> None:
    linger("load")
    match MINE.get("load"):
        case "raise":
            raise ValueError("cannot load this")
        case "full":
            raise OSError(errno.ENOSPC, "no space left")
    value.update(json.loads(data))


counter = handover.state("counter", default=dict, dump=dump, load=load)
handover.on_quiesce(lambda: linger("quiesce"))
handover.on_lease(acquired=lambda: linger("lease"))

_send = channel.Channel._send


def _send_broken(self: channel.Channel, data: bytes, fd: int) -> None:
    kind = frames.Kind(data[9])
    match MINE.get("frames", {}).get(kind.name):
        case None:
            _send(self, data, fd)
        case "drop":
            pass
        case "delay":
            time.sleep(0.3)
            _send(self, data, fd)
        case "twice":
            _send(self, data, fd)
            _send(self, data, fd)
        case "corrupt":
            _send(self, data[:4] + b"\xff" + data[5:], fd)
        case "truncate":
            _send(self, data[: len(data) // 2], fd)
            os._exit(9)


channel.Channel._send = _send_broken  # type: ignore[method-assign]
linger("import")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Counts."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    counter["n"] = counter.get("n", 0) + 1
    body = f"{os.getpid()} {handover.generation()} {counter['n']}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = HandoverMiddleware(application)
