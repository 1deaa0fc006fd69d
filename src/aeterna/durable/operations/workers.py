"""Who executes runs."""

from __future__ import annotations

from aeterna.durable.engine.coordinator.about import about_of
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import SessionRow


def is_worker(session: SessionRow) -> bool:
    """Not one of a server, which executes nothing."""
    return about_of(session.about).role != "server"


def room_of(session: SessionRow) -> int | None:
    """How many runs more it takes, if all that it has executes; None where it does not say what it takes."""
    capacity = about_of(session.about).room
    return max(0, capacity - session.runs) if capacity else None


@forwarded
async def list_workers(world: World) -> list[SessionRow]:
    """The live sessions of workers, oldest first."""
    return [session for session in await world.store.list_sessions() if is_worker(session)]
