"""Read what is recorded of a run."""

from __future__ import annotations

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import RunRow


@forwarded
async def history(world: World, run_id: str, start: int = 0) -> tuple[RunRow, list[AnyEvent]]:
    """The run's row and its events from number ``start`` on; raises `RunNotFoundError`."""
    row = await describe(world.store, run_id)
    return row, await world.store.history(row.id, start)
