"""What a run is doing."""

from __future__ import annotations

from typing import Protocol

from aeterna.durable.stores.contract import RunRow
from aeterna.kernel.errors import RunNotFoundError


class Rows(Protocol):
    """A store, or a reader of one."""

    description: str

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        ...


async def describe(store: Rows, run_id: str) -> RunRow:
    """The run's row; raises `RunNotFoundError`."""
    row = await store.get_run(run_id)
    if row is None:
        raise RunNotFoundError(f"no run has the id {run_id!r} in {store.description}")
    return row
