"""``Idempotency-Key``: a request that is sent again under the same key is carried out once.

Nothing is kept for it. What the request makes is named after the key (the run that is started or forked, the message
that is sent), and the store knows by the name that it is there: after a restart, too, and at every server of the store.
All other requests say how something is to be, and can be sent again as they are."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Header

from aeterna.durable.core.events import Payload, RunCreated, SignalReceived
from aeterna.durable.core.fork import fork_history
from aeterna.durable.operations.start import StartRequest
from aeterna.durable.stores.contract import Store
from aeterna.kernel.errors import UsageError, WorkflowIdConflictError

KEY_CHARS_MAX = 256

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=KEY_CHARS_MAX,
        description="a request sent again under the same key is carried out once, and another one refused",
    ),
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
    row = await store.get_run(run_id)
    history = await store.history(run_id)
    first = history[0] if history else None
    if row is None or not isinstance(first, RunCreated):
        # It was deleted since.
        return
    was = (first.workflow, first.version, first.arguments, row.queue, row.priority, row.share, row.requires)
    options = (request.queue, request.priority, request.share, request.requires)
    if was != (request.workflow, request.version, request.arguments, *options):
        raise _used("a start of other arguments or options")


async def require_same_signal(store: Store, run_id: str, message_id: str, name: str, payload: Payload) -> None:
    """Raise `WorkflowIdConflictError` if the message that the key names was another signal."""
    waiting = [(each.name, each.payload) for each in await store.inbox(run_id) if each.id == message_id]
    read = [event for event in await store.history(run_id) if isinstance(event, SignalReceived)]
    known = waiting + [(event.name, event.payload) for event in read if event.id == message_id]
    if known and known[0] != (name, payload):
        raise _used("another signal")


async def require_same_fork(store: Store, run_id: str, position: int, forked: str) -> None:
    """Raise `WorkflowIdConflictError` if the fork that the key names was made at another position."""
    history, found = await store.history(run_id), await store.history(forked)
    begun = fork_history(history, position, run_id, found[0].at_us if found else 0)
    following = found[len(begun) : len(begun) + 1]
    # What the fork recorded itself happened at another time than anything it was given.
    was_given_more = any(
        event in history[position:] or (isinstance(event, SignalReceived) and not event.number) for event in following
    )
    if found[: len(begun)] != begun or was_given_more:
        raise _used("a fork at another position")


def _used(what: str) -> WorkflowIdConflictError:
    return WorkflowIdConflictError(f"this Idempotency-Key was used for {what}: use a new key")
