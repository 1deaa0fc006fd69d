"""Ask a run to cancel."""

from __future__ import annotations

import os
import socket

from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from aeterna.durable.engine.cancellation import cancel_claimed
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.posting import post
from aeterna.durable.operations.settling import settle
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import MessageKind, Store
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import InvalidStateError, StoreLockedError


@forwarded
async def cancel(world: World, run_id: str, reason: str = "") -> bool:
    """Returns once the request is durable; False if it was asked for before. The workflow sees it and may clean up; a
    run that has not begun is CANCELLED when this returns, or a moment later if a worker has just taken it.

    Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended."""
    is_new = await post(world, run_id, MessageKind.CANCEL, reason, message_id="cancel")
    await settle(world, run_id)
    return is_new


async def cancel_directly(store: Store, run_id: str, reason: str, clock: Clock) -> State | None:
    """Record the cancellation of a run in a store that no engine has open; None if it was asked for before.

    A run that had not begun is CANCELLED when this returns. One that had is still RUNNING: its workflow is told, and
    may clean up, when a process that has its code comes back. Raises `RunNotFoundError`, `InvalidStateError` if the
    run has ended, and `StoreLockedError` while an engine has the store."""
    await store.open()
    try:
        row = await describe(store, run_id)
        if row.state.is_final:
            raise InvalidStateError(f"run {run_id!r} is {row.state.value} already and cannot be cancelled")
        if fold(await store.history(run_id)).cancel_reason is not None:
            return None
        session = await store.open_session(clock.now_us(), socket.gethostname(), os.getpid())
        try:
            claimed = await store.claim_run(session, run_id)
            if claimed is None or not await cancel_claimed(store, claimed, clock.now_us(), reason):
                raise StoreLockedError(f"run {run_id!r} was taken by another session just now; cancel it again")
        finally:
            await store.close_session(session, clock.now_us())
        return (await describe(store, run_id)).state
    finally:
        await store.close()
