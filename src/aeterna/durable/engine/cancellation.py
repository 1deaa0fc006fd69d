"""Cancelling a run whose code is not in this process."""

from __future__ import annotations

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Append, Appended, Head, RunRow, Store


async def cancel_claimed(store: Store, row: RunRow, now_us: int, reason: str) -> bool:
    """Write the cancellation of a run this session has claimed; False if another session took it meanwhile.

    A queued run has done nothing and ends at once. One that has begun is asked to: its workflow sees it, and may
    clean up, when a process that has its code comes back."""
    event: ev.AnyEvent
    if row.state is State.PENDING:
        event, head = ev.RunCancelled(now_us, reason), Head(State.CANCELLED, Detail.NONE)
    else:
        event = ev.CancelRequested(now_us, reason)
        head = Head(State.RUNNING, Detail.CANCELLING, release=True, note=row.note)
    [outcome] = await store.commit([Append(row.key, row.epoch, row.length, (event,), now_us, head)])
    return isinstance(outcome, Appended)
