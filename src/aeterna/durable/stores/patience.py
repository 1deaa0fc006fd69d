"""What is said to somebody whose wait for the end of a run is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from aeterna.durable.core.states import Detail
from aeterna.durable.stores.contract import RunRow
from aeterna.kernel.errors import StoreError

LOOK_S = 1.0
"""A store that does not answer must not make the wait longer."""


class Rows(Protocol):
    """A store, or a reader of one."""

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        ...


async def not_ended(rows: Rows, run_id: str, timeout_s: float | None) -> TimeoutError:
    """The error of a wait of ``timeout_s`` seconds; a run that is stuck does not go on by itself, which it says."""
    row: RunRow | None = None
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(LOOK_S):
            row = await rows.get_run(run_id)
    within = f"run {run_id!r} did not end within {timeout_s:g} s"
    if row is None or row.detail is not Detail.STUCK:
        return TimeoutError(f"{within}; it goes on")
    return TimeoutError(f"{within}; it is stuck: {row.note}")
