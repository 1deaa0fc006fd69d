"""The registry's part of the SQLite store."""

from __future__ import annotations

from aeterna.durable.stores.contract import CRASH_LIMIT, QueueRow, QueueState, Rank, RunRow, ScheduleRow, TokenRow
from aeterna.durable.stores.sqlite.file import Rooms, SqliteFile


class SqliteRegistry:
    """Queues, schedules and tokens; see `Registry`."""

    namespace: str
    _file: SqliteFile
    _crash_limit = CRASH_LIMIT

    async def put_queue(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`."""
        registry = self._rooms().registry
        await self._file.write(lambda: registry.put_queue(queue))

    async def delete_queue(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        registry = self._rooms().registry
        return await self._file.write(lambda: registry.delete_queue(name))

    async def list_queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        return await self._file.write(self._rooms().registry.queues)

    async def rank(self, run: RunRow) -> Rank:
        """See `Registry.rank`."""
        registry = self._rooms().registry
        return await self._file.write(lambda: registry.rank(run))

    async def put_schedule(self, schedule: ScheduleRow) -> None:
        """See `Registry.put_schedule`."""
        registry = self._rooms().registry
        await self._file.write(lambda: registry.put_schedule(schedule))

    async def delete_schedule(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        registry = self._rooms().registry
        return await self._file.write(lambda: registry.delete_schedule(schedule))

    async def list_schedules(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        return await self._file.write(self._rooms().registry.schedules)

    async def next_schedule(self) -> int | None:
        """See `Registry.next_schedule`."""
        return await self._file.write(self._rooms().registry.next_schedule)

    async def put_token(self, token: TokenRow) -> None:
        """See `Registry.put_token`."""
        registry = self._rooms().registry
        await self._file.write(lambda: registry.put_token(token))

    async def delete_token(self, hash_: bytes) -> bool:
        """See `Registry.delete_token`."""
        registry = self._rooms().registry
        return await self._file.write(lambda: registry.delete_token(hash_))

    async def list_tokens(self) -> list[TokenRow]:
        """See `Registry.list_tokens`."""
        return await self._file.write(self._rooms().registry.tokens)

    def _rooms(self) -> Rooms:
        rooms = self._file.rooms(self.namespace)
        rooms.claiming.crash_limit = self._crash_limit
        return rooms
