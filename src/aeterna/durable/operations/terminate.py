"""End a run at once, without its workflow seeing it."""

from __future__ import annotations

from aeterna.durable.engine.ending import end_by_force
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.world import World, forwarded
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
        if await end_by_force(world, run_id, f"terminated: {reason}" if reason else "terminated"):
            return
    raise InvalidStateError(f"run {run_id!r} is claimed by others again and again; terminate it once more")
