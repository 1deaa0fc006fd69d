"""Wait for the end of a run."""

from __future__ import annotations

from aeterna.durable.core.fold import Run, fold
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.patience import not_ended
from aeterna.kernel.errors import RunNotFoundError


@forwarded
async def await_result(world: World, run_id: str, timeout_s: float | None = None) -> Run:
    """The fold of the run's whole history once it has ended.

    Raises `TimeoutError` after ``timeout_s`` seconds (the run goes on, or is stuck, as it says), `RunNotFoundError`,
    the `NonDeterminismError` of a run that is stuck in this process, or the `StoreError` of a store that cannot write
    at the moment."""
    began_us = world.clock.monotonic_us()
    while True:
        spent_s = (world.clock.monotonic_us() - began_us) / 1e6
        left_s = None if timeout_s is None else max(timeout_s - spent_s, 0.0)
        try:
            run = await world.wait_end(run_id, left_s)
        except TimeoutError:
            raise await not_ended(world.store, run_id, timeout_s) from None
        if run is None:
            run = fold(await world.store.history(run_id))
        if run.state is None:
            raise RunNotFoundError(f"no run has the id {run_id!r} in {world.store.description}")
        if run.state.is_final:
            return run
        # A notice of its end that was not true.
