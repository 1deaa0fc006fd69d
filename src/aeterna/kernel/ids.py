"""New names for new things."""

from __future__ import annotations

import os
import time
import uuid


def new_run_id() -> str:
    """A UUID of version 7 (RFC 9562): the milliseconds since 1970, then 74 random bits. Unique, and sorted by
    time."""
    value = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    value[6] = value[6] & 0x0F | 0x70
    value[8] = value[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(value)))
