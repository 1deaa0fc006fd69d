"""The namespaces of one database, over one set of connections."""

from __future__ import annotations

from contextlib import AsyncExitStack

from aeterna.durable.stores.postgres.database import Database
from aeterna.durable.stores.postgres.place import parse_place
from aeterna.durable.stores.postgres.store import PostgresStore
from aeterna.kernel.clock import Clock, SystemClock


class PostgresNamespaces:
    """See `Namespaces`. The stores share connections; one that is opened by itself is closed with the place."""

    def __init__(self, url: str, *, synchronous: bool = True, clock: Clock | None = None) -> None:
        self._database = Database(parse_place(url), clock or SystemClock(), synchronous=synchronous)
        self._stores: dict[str, PostgresStore] = {}
        self._is_open = False
        self.description = self._database.place.description

    async def open(self) -> None:
        """See `Namespaces.open`. Idempotent."""
        if not self._is_open:
            await self._database.open()
            self._is_open = True
            for store in self._stores.values():
                await store.open()

    async def close(self) -> None:
        """See `Namespaces.close`. Idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            for store in self._stores.values():
                stack.push_async_callback(store.close)

    async def names(self) -> list[str]:
        """See `Namespaces.names`."""
        return await self._database.namespaces()

    def store(self, namespace: str) -> PostgresStore:
        """See `Namespaces.store`."""
        store = self._stores.get(namespace)
        if store is None:
            store = self._stores[namespace] = PostgresStore(self._database, namespace)
        return store
