"""Ask a run's code something."""

from __future__ import annotations

from aeterna.durable.core.events import Payload
from aeterna.durable.operations.world import World, forwarded


@forwarded
async def query(world: World, run_id: str, name: str, arguments: Payload, timeout_s: float = 10.0) -> Payload:
    """The answer; ``arguments`` is ``[args, kwargs]``, encoded. Nothing is recorded.

    Raises `RunNotFoundError`, `UsageError` if the run answers no such query, `QueryFailedError`, and `TimeoutError` if
    nobody who has its code answers in time."""
    return await world.query(run_id, name, arguments, timeout_s)
