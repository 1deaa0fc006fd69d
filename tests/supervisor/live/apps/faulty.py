"""An application whose releases are good (a number) or broken, each in its way.

``import``: does not import. ``never``: is never done with importing. ``crash``: ends a second after it was ready.
``unwell``: half a second after its first healthy answer its health check fails. ``sick``: so does everything.
``leak``: takes ever more memory, as any release does that is asked for `/leak`.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

RELEASE = Path(os.environ["BENCH_RELEASE_FILE"]).read_text().strip()
PIECE_BYTES = 16 * 1024**2
hoard: list[bytes] = []


def leak() -> None:
    while True:
        hoard.append(os.urandom(1) * PIECE_BYTES)
        time.sleep(0.05)


def run(what: Any) -> None:
    threading.Thread(target=what, daemon=True).start()


match RELEASE:
    case "import":
        raise ImportError("this release does not import, on purpose")
    case "never":
        time.sleep(3600)
    case "leak at import":
        leak()

well_until_s = float("inf")


async def answer(send: Any, status: int) -> None:
    headers = [(b"content-length", b"0"), (b"x-pid", str(os.getpid()).encode()), (b"x-release", RELEASE.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def first_healthy_answer() -> None:
    """From now on the release may break."""
    global well_until_s
    if RELEASE in ("unwell", "sick"):
        well_until_s = time.monotonic() + 0.5
    elif RELEASE == "crash":
        threading.Timer(1.0, os._exit, [9]).start()
    elif RELEASE == "leak":
        run(leak)


is_first = True


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers who it is; `/health` whether it is well."""
    global is_first
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/leak":
        run(leak)
    is_health = scope["path"] == "/health"
    if is_health and is_first:
        is_first = False
        first_healthy_answer()
    is_ill = time.monotonic() > well_until_s and (is_health or RELEASE == "sick")
    await answer(send, 500 if is_ill else 200)
