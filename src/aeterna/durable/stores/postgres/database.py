"""One database as one process uses it: connections, notices and partitions, shared by the stores of all namespaces."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from aeterna.durable.stores.postgres.connections import Connections, Session, Work
from aeterna.durable.stores.postgres.migrating import migrate
from aeterna.durable.stores.postgres.notifier import Notifier
from aeterna.durable.stores.postgres.partitions import Partitions
from aeterna.durable.stores.postgres.place import Place
from aeterna.durable.stores.postgres.rows import from_db, to_db
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import StoreError

T = TypeVar("T")

_DAY_US = 86_400_000_000


class Database:
    """Opened once for everybody who opens it, and closed when the last one has closed it."""

    def __init__(self, place: Place, clock: Clock, *, synchronous: bool) -> None:
        self.place = place
        self.clock = clock
        self._synchronous = synchronous
        self._users = 0
        self._opening = asyncio.Lock()
        self._connections: Connections | None = None
        self._partitions = Partitions(are_supported=not place.is_distributed)
        self.notifier: Notifier | None = None

    @property
    def today(self) -> int:
        """Days since 1970."""
        return self.clock.now_us() // _DAY_US

    async def open(self) -> None:
        """Connect, migrate, listen. Each call takes a `close`."""
        async with self._opening:
            if self._users == 0:
                await self._open()
            self._users += 1

    async def close(self) -> None:
        """The last one who closes ends everything."""
        async with self._opening:
            self._users -= 1
            if self._users == 0:
                await self._close()

    async def do(self, action: str, work: Work[T]) -> T:
        """See `Connections.do`."""
        if self._connections is None:
            raise StoreError(f"{self.place.description} is not open; call open() first")
        return await self._connections.do(action, work)

    async def namespace_key(self, name: str) -> int:
        """The number of a namespace, which comes to be here."""

        async def work(session: Session) -> int:
            found = await session.rows("namespace_key", to_db(name))
            if not found:
                await session.rows("name_namespace", to_db(name))
                found = await session.rows("namespace_key", to_db(name))
            key: int = found[0][0]
            return key

        return await self.do("open", work)

    async def namespaces(self) -> list[str]:
        """The names of all."""
        return [from_db(name) for (name,) in await self.do("read", lambda session: session.rows("namespaces"))]

    async def tend(self) -> None:
        """Once a day: make and drop partitions."""
        if self._partitions.need_tending(self.today):
            today = self.today
            await self.do("tend", lambda session: self._partitions.tend(session, today))

    async def drop_spent_partitions(self) -> None:
        """Give back the room of runs that were deleted."""
        today = self.today
        await self.do("delete from", lambda session: self._partitions.drop_spent(session, today))

    def will_be_dropped(self, day: int) -> bool:
        """See `Partitions.will_be_dropped`."""
        return self._partitions.will_be_dropped(day, self.today)

    async def _open(self) -> None:
        connections = Connections(self.place, self.clock, synchronous=self._synchronous)
        notifier = Notifier(connections) if self.place.can_listen else None
        try:
            await migrate(connections)
            if notifier is not None:
                await connections.do("open", lambda _: notifier.start())
            self._connections, self.notifier = connections, notifier
            self._partitions = Partitions(are_supported=not self.place.is_distributed)
            await self.tend()
        except BaseException:
            self._connections = self.notifier = None
            if notifier is not None:
                await notifier.stop()
            await connections.close()
            raise

    async def _close(self) -> None:
        connections, self._connections = self._connections, None
        notifier, self.notifier = self.notifier, None
        if notifier is not None:
            await notifier.stop()
        if connections is not None:
            await connections.close()
