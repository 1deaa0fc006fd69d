"""Send a signal to a run that is started first if it does not exist."""

from __future__ import annotations

from aeterna.durable.core.events import Payload
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.start import StartReply, StartRequest, start
from aeterna.durable.operations.world import World, forwarded


@forwarded
async def signal_with_start(
    world: World, request: StartRequest, name: str, payload: Payload, message_id: str = ""
) -> tuple[StartReply, bool]:
    """Which run is meant, and whether the signal is new (see `signal`).

    Between the two writes the run exists without the signal; one that is tried again with the same ids does each
    once."""
    reply = await start(world, request)
    return reply, await signal(world, reply.id, name, payload, message_id)
