"""Let a paused run go on, or have a stuck one tried again."""

from __future__ import annotations

from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.posting import post
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import Append, Head, MessageKind, Notice, NoticeKind


@forwarded
async def resume(world: World, run_id: str) -> None:
    """Returns once the request is durable. A run that was left alone because processes died with it is claimable again.

    Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended."""
    row = await describe(world.store, run_id)
    if row.detail is Detail.STUCK and row.owner is None:
        claimed = await world.store.claim_run(world.session, run_id, by_force=True)
        if claimed is not None:
            detail = Detail.QUEUED if claimed.state is State.PENDING else Detail.LEASED
            head = Head(claimed.state, detail, release=True)
            now_us = world.clock.now_us()
            await world.commit(Append(claimed.key, claimed.epoch, claimed.length, (), now_us, head))
            world.announce(Notice(NoticeKind.RUNS))
            return
    await post(world, run_id, MessageKind.RESUME)
