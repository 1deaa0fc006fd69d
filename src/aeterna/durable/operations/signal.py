"""Send a signal to a run."""

from __future__ import annotations

from aeterna.durable.core.events import Payload
from aeterna.durable.operations.posting import post
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import MessageKind
from aeterna.kernel.errors import LimitExceededError


@forwarded
async def signal(world: World, run_id: str, name: str, payload: Payload, message_id: str = "") -> bool:
    """Returns once the signal is durable; False if one of that id was sent to the run before, and counts.

    Raises `RunNotFoundError`, `InvalidStateError` if the run has ended, or `LimitExceededError` if too many signals
    wait for it to look."""
    most = world.limits.inbox_messages_max
    if len(await world.store.inbox(run_id)) >= most:
        raise LimitExceededError(
            f"{most:,} messages wait for run {run_id!r} to look at them, which is the limit: "
            "`aeterna workflow why` says what keeps it"
        )
    return await post(world, run_id, MessageKind.SIGNAL, name, payload=payload, message_id=message_id)
