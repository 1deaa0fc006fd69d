"""Wait for the end of a run."""

from __future__ import annotations

from aeterna.durable.core.fold import Run, fold
from aeterna.durable.operations.world import World, forwarded
from aeterna.kernel.errors import RunNotFoundError


@forwarded
async def await_result(world: World, run_id: str, timeout_s: float | None = None) -> Run:
    """The fold of the run's whole history once it has ended.

    Raises `TimeoutError` after ``timeout_s`` seconds (the run goes on), `RunNotFoundError`, the `NonDeterminismError`
    of a run that is stuck in this process, or the `StoreError` of a store that cannot write at the moment."""
    try:
        run = await world.wait_end(run_id, timeout_s)
    except TimeoutError:
        raise TimeoutError(f"run {run_id!r} did not end within {timeout_s:g} s; it goes on") from None
    if run is None:
        run = fold(await world.store.history(run_id))
    if run.state is None:
        raise RunNotFoundError(f"no run has the id {run_id!r} in {world.store.description}")
    return run
