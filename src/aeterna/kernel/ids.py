"""New names for new things."""

from __future__ import annotations

import os
import re
import time
import uuid

from aeterna.kernel.errors import UsageError

RUN_ID_CHARS_MAX = 512
NAMESPACE_RULE = "use up to 64 letters, digits, '-', '_' and '.', a letter or digit first"
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


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
    if run_id in (".", ".."):
        raise UsageError(f"workflow id {run_id!r} cannot be: in an address it means a folder; choose another id")
    if not run_id.isprintable():
        # Control characters, and lone surrogates, which UTF-8 cannot hold.
        raise UsageError(f"workflow id {run_id!r} has characters that cannot be printed: choose another id")
    return run_id


def is_namespace(name: str) -> bool:
    """Whether it follows `NAMESPACE_RULE`, so that an app can have it."""
    return _NAMESPACE.fullmatch(name) is not None


def new_token() -> str:
    """A secret of 256 random bits, in characters that need no quoting."""
    return f"aet_{os.urandom(32).hex()}"
