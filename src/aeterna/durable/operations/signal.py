"""Send a signal to a run."""

from __future__ import annotations

from aeterna.durable.core.events import Payload
from aeterna.durable.operations.posting import post
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import MessageKind


@forwarded
async def signal(world: World, run_id: str, name: str, payload: Payload, message_id: str = "") -> bool:
    """Returns once the signal is durable; False if one of that id was sent to the run before, and counts.

    Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended."""
    return await post(world, run_id, MessageKind.SIGNAL, name, payload=payload, message_id=message_id)
