"""Ask a run to pause."""

from __future__ import annotations

from aeterna.durable.operations.posting import post
from aeterna.durable.operations.settling import settle
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import MessageKind


@forwarded
async def pause(world: World, run_id: str, reason: str = "") -> None:
    """Returns once the request is durable: steps under way end, nothing new begins until `resume`.

    Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended."""
    await post(world, run_id, MessageKind.PAUSE, reason)
    await settle(world, run_id)
