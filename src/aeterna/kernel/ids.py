"""New names for new things."""

from __future__ import annotations

import os
import time
import uuid

from aeterna.kernel.errors import UsageError

RUN_ID_CHARS_MAX = 512


def new_run_id() -> str:
    """A UUID of version 7 (RFC 9562): the milliseconds since 1970, then 74 random bits. Unique, and sorted by
    time."""
    value = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    value[6] = value[6] & 0x0F | 0x70
    value[8] = value[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(value)))


def check_run_id(run_id: str) -> str:
    """The id itself; raises `UsageError` if it is empty, too long, or not text that can be stored."""
    if not run_id or len(run_id) > RUN_ID_CHARS_MAX:
        raise UsageError(f"a workflow id has 1 to {RUN_ID_CHARS_MAX} characters, not {len(run_id)}")
    if not run_id.isprintable():
        # Control characters, and lone surrogates, which UTF-8 cannot hold.
        raise UsageError(f"workflow id {run_id!r} has characters that cannot be printed: choose another id")
    return run_id


def new_token() -> str:
    """A secret of 256 random bits, in characters that need no quoting."""
    return f"aet_{os.urandom(32).hex()}"
