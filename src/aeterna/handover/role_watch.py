"""The gate's changes, brought from the thread that makes them to the event loop that serves.

Invariant: who reads a role on the loop, and then waits here, hears of every later change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aeterna.handover.gate import Gate, GateChange

__all__ = ["RoleWatch"]


class RoleWatch:
    """Calls ``changed`` on the running loop after each change of the gate, and wakes those who wait for one."""

    def __init__(self, gate: Gate, changed: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._changed = changed
        self._waiting: set[asyncio.Future[None]] = set()
        gate.add_listener(self._on_change)

    async def wait_change(self, timeout_s: float) -> bool:
        """Wait for the next change; False if none came in that time."""
        future = self.loop.create_future()
        self._waiting.add(future)
        try:
            done, _ = await asyncio.wait([future], timeout=max(timeout_s, 0.0))
        finally:
            self._waiting.discard(future)
        return bool(done)

    def _on_change(self, change: GateChange) -> None:
        # The gate outlives a loop: that of a test, or of a server that has ended.
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._changed()
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
