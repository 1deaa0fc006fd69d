"""Runs that have not begun and are asked to end or to pause: that must not wait for a worker."""

from __future__ import annotations

from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.messages import keep_from_starting
from aeterna.durable.operations.world import World
from aeterna.durable.stores.contract import Append, Appended, Head, Notice, NoticeKind


async def settle(world: World, run_id: str) -> None:
    """Do what the run's messages say, if it has not begun and nobody has it; otherwise whoever has it, or takes it,
    does."""
    if world.executes:
        return
    row = await world.store.get_run(run_id)
    if row is None or row.state is not State.PENDING or row.owner is not None:
        return
    claimed = await world.store.claim_run(world.session, run_id)
    if claimed is None:
        return
    now_us = world.clock.now_us()
    write = keep_from_starting(claimed, await world.store.inbox(run_id), now_us)
    if write is None:
        # It was seen to a moment ago.
        head = Head(claimed.state, Detail.QUEUED, row.wake_us, release=True, note=row.note)
        write = Append(claimed.key, claimed.epoch, claimed.length, (), now_us, head)
    outcome = await world.commit(write)
    if isinstance(outcome, Appended) and write.head is not None and write.head.state.is_final:
        world.announce(Notice(NoticeKind.ENDED, run_id))
