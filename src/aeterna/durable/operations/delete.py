"""Delete finished runs."""

from __future__ import annotations

from collections.abc import Sequence

from aeterna.durable.operations.world import World, forwarded


@forwarded
async def delete(world: World, run_ids: Sequence[str]) -> int:
    """How many runs were deleted, descendants included; what may not go (see `Store.delete_runs`) is left alone."""
    return await world.store.delete_runs(run_ids)


@forwarded
async def delete_finished(world: World, before_us: int, limit: int) -> int:
    """As `delete`, for up to ``limit`` runs that finished before that time, oldest first."""
    return await world.store.delete_finished(before_us, limit)
