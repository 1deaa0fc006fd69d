"""``Idempotency-Key``: a request that is sent again under the same key is carried out once.

Nothing is kept for it. What the request makes is named after the key (the run that is started or forked, the message
that is sent), and the store knows by the name that it is there: after a restart, too, and at every server of the store.
All other requests say how something is to be, and can be sent again as they are."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Header

from aeterna.durable.core.events import RunCreated
from aeterna.durable.operations.start import StartRequest
from aeterna.durable.stores.contract import Store
from aeterna.kernel.errors import UsageError, WorkflowIdConflictError

KEY_CHARS_MAX = 256

IdempotencyKey = Annotated[
    str | None,
    Header(max_length=KEY_CHARS_MAX, description="a request sent again under the same key is carried out once"),
]


def named_after(key: str | None, *purpose: str) -> str:
    """The name of what a request with this key and for this purpose makes, '' without a key.

    Raises `UsageError` for a key that cannot be one."""
    if key is None:
        return ""
    if not key.strip() or not key.isprintable():
        raise UsageError(f"Idempotency-Key {key[:40]!r} cannot be: use characters that can be printed")
    digest = hashlib.sha256("\x00".join((*purpose, key)).encode()).hexdigest()
    return f"key-{digest[:32]}"


async def require_same_start(store: Store, run_id: str, request: StartRequest) -> None:
    """Raise `WorkflowIdConflictError` if the run that the key names was started by another request."""
    history = await store.history(run_id)
    first = history[0] if history else None
    if isinstance(first, RunCreated) and (first.version, first.arguments) != (request.version, request.arguments):
        raise WorkflowIdConflictError("this Idempotency-Key was used for a start with other arguments: use a new key")
