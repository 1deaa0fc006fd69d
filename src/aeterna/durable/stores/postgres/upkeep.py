"""Looking after a PostgreSQL store; see `Upkeep`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aeterna.durable.stores.ledger import Ledger
from aeterna.durable.stores.postgres.connections import Connections, Session, close_connection
from aeterna.durable.stores.postgres.faults import ERRORS, explain
from aeterna.durable.stores.postgres.ledger import open_ledger
from aeterna.durable.stores.postgres.migrating import find_version, migrate, migration_script
from aeterna.durable.stores.postgres.partitions import Partitions
from aeterna.durable.stores.postgres.place import parse_place
from aeterna.durable.stores.postgres.statements import load_migrations, quoted
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import StoreError, UsageError

_DAY_US = 86_400_000_000
_TIMEOUT_S = 3_600.0


class PostgresUpkeep:
    """The store of a URL. Engines go on meanwhile."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._place = parse_place(url)
        self._clock = clock
        self.description = self._place.description

    async def versions(self) -> tuple[int, int]:
        """See `Upkeep.versions`."""
        async with self._connections() as connections:
            return await find_version(connections), self._newest

    async def script(self, after: int) -> str:
        """See `Upkeep.script`."""
        if after >= self._newest:
            return ""
        return migration_script(after, schema=self._place.schema, is_distributed=self._place.is_distributed)

    async def migrate(self) -> tuple[int, int]:
        """See `Upkeep.migrate`."""
        async with self._connections() as connections:
            return await migrate(connections)

    async def vacuum(self) -> tuple[int, int]:
        """See `Upkeep.vacuum`: drops the partitions of past days that no run needs, as retention does, and has the
        server vacuum and analyze the tables."""
        if self._place.is_distributed:
            raise UsageError(f"{self.description} is a cluster, which looks after its space by itself")
        async with self._connections() as connections:
            await self._require_current(connections)
            before = await connections.do("vacuum", self._size)
            partitions = Partitions(are_supported=True)
            await connections.do("vacuum", lambda session: partitions.tend(session, self._clock.now_us() // _DAY_US))
            await self._vacuum(connections)
            return before, await connections.do("vacuum", self._size)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Ledger]:
        """See `Upkeep.read`."""
        async with self._connections() as connections:
            await self._require_current(connections)
            async with open_ledger(connections) as ledger:
                yield ledger

    @property
    def _newest(self) -> int:
        return load_migrations(self._place.schema)[-1][0]

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[Connections]:
        connections = Connections(self._place, self._clock, synchronous=True)
        try:
            yield connections
        finally:
            await connections.close()

    async def _require_current(self, connections: Connections) -> None:
        version = await find_version(connections)
        if version != self._newest:
            advice = "run `aeterna db migrate`" if version < self._newest else "upgrade aeterna here"
            raise StoreError(
                f"the store in {self.description} has version {version}, this release reads {self._newest}: {advice}"
            )

    async def _tables(self, session: Session) -> list[tuple[str, int]]:
        events = f"{quoted(self._place.schema)}.events"
        return [(name, size) for name, size in await session.rows("our_tables", self._place.schema, events)]

    async def _size(self, session: Session) -> int:
        return sum(size for _, size in await self._tables(session))

    async def _vacuum(self, connections: Connections) -> None:
        tables = await connections.do("vacuum", self._tables)
        try:
            connection = await connections.connect()
            try:
                for name, _ in tables:
                    # Alone in its message: it refuses to be part of a transaction.
                    table = f"{quoted(self._place.schema)}.{quoted(name)}"
                    await connection.execute(f"VACUUM (ANALYZE, SKIP_LOCKED) {table}", timeout=_TIMEOUT_S)
            finally:
                await close_connection(connection)
        except ERRORS as error:
            raise explain(error, self._place, "vacuum") from error
