"""List runs."""

from __future__ import annotations

from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import Page, RunQuery


@forwarded
async def list_runs(world: World, query: RunQuery) -> Page:
    """The rows that match, newest first."""
    return await world.store.list_runs(query)
