"""Looking after a SQLite store from outside its engine; see `Upkeep`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aeterna.durable.stores.ledger import Ledger
from aeterna.durable.stores.sqlite.connections import open_writer, stored_version
from aeterna.durable.stores.sqlite.header import APPLICATION_ID
from aeterna.durable.stores.sqlite.ledger import open_ledger
from aeterna.durable.stores.sqlite.lock import FileLock
from aeterna.durable.stores.sqlite.space import shrink, size_of
from aeterna.durable.stores.sqlite.statements import load_migrations
from aeterna.kernel.clock import Clock


class SqliteUpkeep:
    """The store at ``path``. What changes it takes the file for this process alone, and raises `StoreLockedError`,
    which names the owner, while there is one."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.description = f"sqlite at {path}"
        self._clock = clock

    async def versions(self) -> tuple[int, int]:
        """See `Upkeep.versions`."""
        return stored_version(self.path), load_migrations()[-1][0]

    async def script(self, after: int) -> str:
        """See `Upkeep.script`."""
        return "".join(
            f"BEGIN IMMEDIATE;\n{script.strip()}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;\n"
            for number, script in load_migrations()
            if number > after
        )

    async def migrate(self) -> tuple[int, int]:
        """See `Upkeep.migrate`."""
        with self._lock():
            before = stored_version(self.path)
            open_writer(self.path, "full").close()
            return before, stored_version(self.path)

    async def vacuum(self) -> tuple[int, int]:
        """See `Upkeep.vacuum`. Needs room for a second copy while it works."""
        with self._lock():
            before = size_of(self.path)
            db = open_writer(self.path, "full")
            try:
                shrink(self.path, db)
            finally:
                db.close()
            return before, size_of(self.path)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Ledger]:
        """See `Upkeep.read`."""
        with open_ledger(self.path) as ledger:
            yield ledger

    @contextmanager
    def _lock(self) -> Iterator[None]:
        lock = FileLock(self.path)
        lock.acquire(self._clock)
        try:
            yield
        finally:
            lock.release()
