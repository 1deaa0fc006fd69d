"""Who executes runs."""

from __future__ import annotations

import msgspec

from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import SessionRow


class _About(msgspec.Struct):
    role: str = ""


def is_worker(session: SessionRow) -> bool:
    """Not one of a server, which executes nothing."""
    try:
        return msgspec.json.decode(session.about, type=_About).role != "server"
    except msgspec.MsgspecError:
        # One that says nothing sensible of itself may execute what it likes.
        return True


@forwarded
async def list_workers(world: World) -> list[SessionRow]:
    """The live sessions of workers, oldest first."""
    return [session for session in await world.store.list_sessions() if is_worker(session)]
