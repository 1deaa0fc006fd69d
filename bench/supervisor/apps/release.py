"""What the applications share: which release this process is, and how a broken release breaks.

The release is read from a file when the application is imported, so that writing the file and reloading is a deploy.
A release is a number; ``import`` is one that does not import, ``crash`` one that ends a second after its start.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

CRASH_AFTER_S = 1.0
CRASH_CODE = 9

RELEASE = Path(os.environ["BENCH_RELEASE_FILE"]).read_text().strip() if "BENCH_RELEASE_FILE" in os.environ else "0"
if RELEASE == "import":
    raise ImportError("this release is broken on purpose: it does not import")
if RELEASE == "crash":
    _timer = threading.Timer(CRASH_AFTER_S, os._exit, [CRASH_CODE])
    _timer.daemon = True
    _timer.start()

GENERATION = os.environ.get("AETERNA_GENERATION", "")


def who_answers() -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The body and the headers that say which process, generation and release answered."""
    pid = os.getpid()
    body = json.dumps({"pid": pid, "generation": GENERATION, "release": RELEASE}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-pid", str(pid).encode()),
        (b"x-generation", GENERATION.encode() or b"0"),
        (b"x-release", RELEASE.encode()),
    ]
    return body, headers
