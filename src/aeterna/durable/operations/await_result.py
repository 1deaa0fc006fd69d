"""Wait for the end of a run."""

from __future__ import annotations

import asyncio

from aeterna.durable.core.fold import Run, fold
from aeterna.durable.engine.engine import Engine
from aeterna.kernel.errors import RunNotFoundError


async def await_result(engine: Engine, run_id: str, timeout_s: float | None = None) -> Run:
    """The fold of the run's whole history once it has ended.

    Raises `TimeoutError` after ``timeout_s`` seconds (the run goes on), `RunNotFoundError`, the `NonDeterminismError`
    of a run that is stuck in this process, or the `StoreError` of a store that cannot write at the moment."""
    with engine.waiters.register(run_id) as ended:
        if not engine.is_resident(run_id):
            row = await engine.store.get_run(run_id)
            if row is None:
                raise RunNotFoundError(f"no run has the id {run_id!r} in {engine.store.description}")
            if row.state.is_final:
                return fold(await engine.store.history(run_id))
        try:
            async with asyncio.timeout(timeout_s):
                return await ended
        except TimeoutError:
            raise TimeoutError(f"run {run_id!r} did not end within {timeout_s:g} s; it goes on") from None
