"""Work that would hold up the event loop, on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class SideThread:
    """One thread, started at first use, that runs one call after the other."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work()``. Returns or raises only after ``work`` has ended, also when cancelled meanwhile: a
        caller that holds a lock never gives it up while the thread still works under it."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                try:
                    await asyncio.wait([future])
                except asyncio.CancelledError:
                    continue
            if not future.cancelled():
                future.exception()  # Taken note of, so that asyncio does not report it as never retrieved.
            raise

    def close(self) -> None:
        """Wait for the running call and end the thread. Idempotent."""
        self._executor.shutdown()
