"""Reads the run's history while another process writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.stores.sqlite.reader import SqliteReader
from aeterna.kernel.errors import StoreError, StoreLockedError


class HistoryTail:
    """The history of run ``run_id`` in the store at ``path``, read on from where the last look ended."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._reader = SqliteReader(path)
        self._run_id = run_id
        self._events: list[AnyEvent] = []
        self._is_open = False

    async def look(self) -> Sequence[AnyEvent]:
        """All events recorded until now. Empty while the store is being created; what is known already while a new
        process recovers the file and holds it for a moment."""
        if not self._is_open:
            try:
                await self._reader.open()
            except StoreError:
                return self._events
            self._is_open = True
        try:
            return await self.read()
        except StoreLockedError:
            return self._events

    async def read(self) -> Sequence[AnyEvent]:
        """All events recorded until now; raises `StoreError` when they cannot be read."""
        await self._reader.open()
        self._events += await self._reader.history(self._run_id, len(self._events))
        return self._events

    async def close(self) -> None:
        """Close the file. Idempotent."""
        self._is_open = False
        await self._reader.close()
