"""End a run at once, without its workflow seeing it."""

from __future__ import annotations

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import Append, Appended, Head, Notice, NoticeKind
from aeterna.kernel.errors import InvalidStateError

ATTEMPTS = 5
"""Somebody may claim the run between our claim and our write, but not again and again."""


@forwarded
async def terminate(world: World, run_id: str, reason: str = "") -> None:
    """Returns once the run is CANCELLED. Its owner finds its writes refused and drops it.

    Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended."""
    for _ in range(ATTEMPTS):
        row = await describe(world.store, run_id)
        if row.state.is_final:
            raise InvalidStateError(f"run {run_id!r} is {row.state.value} already and cannot be terminated")
        claimed = await world.store.claim_run(world.session, run_id, by_force=True)
        if claimed is None:
            continue
        now_us = world.clock.now_us()
        end = ev.RunCancelled(now_us, f"terminated: {reason}" if reason else "terminated")
        head = Head(State.CANCELLED, Detail.NONE)
        outcome = await world.commit(Append(claimed.key, claimed.epoch, claimed.length, (end,), now_us, head))
        if isinstance(outcome, Appended):
            world.announce(Notice(NoticeKind.ENDED, run_id))
            return
    raise InvalidStateError(f"run {run_id!r} is claimed by others again and again; terminate it once more")
