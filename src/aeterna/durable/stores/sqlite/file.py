"""One SQLite file: who may touch it, on which thread its writing runs, and the connections of its namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from aeterna.durable.stores.sqlite.claiming import Claiming, Sessions
from aeterna.durable.stores.sqlite.connections import Synchronous, open_reader, open_writer
from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.lock import FileLock
from aeterna.durable.stores.sqlite.pace import CommitPace
from aeterna.durable.stores.sqlite.reader import Queries
from aeterna.durable.stores.sqlite.registry import RegistryWriter
from aeterna.durable.stores.sqlite.side_thread import SideThread
from aeterna.durable.stores.sqlite.transactions import Transactions
from aeterna.durable.stores.sqlite.writer import Writer
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import StoreError

T = TypeVar("T")


class Rooms:
    """What one namespace of an open file has for itself."""

    def __init__(self, transactions: Transactions, path: Path, namespace: str, now_us: int) -> None:
        self.writer = Writer(transactions, namespace)
        self.sessions = Sessions(transactions, self.writer.key)
        self.sessions.end_those_without_lease(now_us)
        self.claiming = Claiming(transactions, self.writer.key)
        self.registry = RegistryWriter(transactions, self.writer.key)
        self.queries = Queries(open_reader(path), path, namespace)


class _Opened:
    """What an open file holds."""

    def __init__(self, path: Path, synchronous: Synchronous, clock: Clock) -> None:
        self.pace = CommitPace()
        db = open_writer(path, synchronous)
        try:
            self.transactions = Transactions(db, path, clock, self.pace)
        except BaseException:
            db.close()
            raise
        self.rooms: dict[str, Rooms] = {}
        self.writing = asyncio.Lock()
        self.commit_thread = SideThread("aeterna-commit")
        self.copy_thread = SideThread("aeterna-copy")

    def close(self) -> None:
        self.commit_thread.close()
        self.copy_thread.close()
        for rooms in self.rooms.values():
            rooms.queries.close()
        self.transactions.close()


class SqliteFile:
    """A file that is open as long as it is held, or a namespace of it is open."""

    def __init__(self, path: Path, synchronous: Synchronous, clock: Clock) -> None:
        self.path = path
        self.description = f"sqlite at {path}"
        self._synchronous = synchronous
        self._clock = clock
        self._lock = FileLock(path)
        self._opened: _Opened | None = None
        self._is_held = False

    def hold(self) -> None:
        """Open the file, and keep it until `let_go`. Makes missing directories. Idempotent."""
        self._open()
        self._is_held = True

    async def let_go(self) -> None:
        """Close the file if no namespace of it is open. Idempotent."""
        self._is_held = False
        await self._give_back(None)

    async def open(self, namespace: str) -> None:
        """Open a namespace, and the file if it is not. Makes missing directories. Idempotent."""
        while True:
            opened = self._open()
            async with opened.writing:
                if self._opened is opened:  # Else it was closed while this waited.
                    self._add_rooms(opened, namespace)
                    return

    async def close(self, namespace: str) -> None:
        """Close a namespace, and with the last one the file. Waits for a commit that is on its way. Idempotent."""
        await self._give_back(namespace)

    def _add_rooms(self, opened: _Opened, namespace: str) -> None:
        if namespace in opened.rooms:
            return
        try:
            opened.rooms[namespace] = Rooms(opened.transactions, self.path, namespace, self._clock.now_us())
        except BaseException:
            self._close_if_unused(opened)
            raise

    def _open(self) -> _Opened:
        if self._opened is None:
            with explaining(self.path, "open"):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(self._clock)
            try:
                self._opened = _Opened(self.path, self._synchronous, self._clock)
            except BaseException:
                self._lock.release()
                raise
        return self._opened

    async def _give_back(self, namespace: str | None) -> None:
        opened = self._opened
        if opened is None or not self._lock.is_held:  # In a forked child nothing is open that it could give back.
            self._opened = None
            return
        async with opened.writing:
            if self._opened is not opened:  # Somebody else has closed it meanwhile.
                return
            if namespace in opened.rooms:
                opened.rooms.pop(namespace).queries.close()
            self._close_if_unused(opened)

    def _close_if_unused(self, opened: _Opened) -> None:
        if not opened.rooms and not self._is_held:
            self._close(opened)

    def _close(self, opened: _Opened) -> None:
        self._opened = None
        try:
            opened.close()
        finally:
            self._lock.release()

    def rooms(self, namespace: str) -> Rooms:
        """What a namespace has for itself; raises `StoreError` if it is not open."""
        rooms = self.require_open().rooms.get(namespace)
        if rooms is None:
            raise self._closed()
        return rooms

    async def namespace_names(self) -> list[str]:
        """The namespaces that the file has."""
        transactions = self.require_open().transactions
        return await self.write(lambda: [name for (name,) in transactions.look("read", "namespace_names")])

    async def write(self, work: Callable[[], T]) -> T:
        """Have the file changed, when nobody else changes it, on the thread that suits the disk."""
        opened = self.require_open()
        async with opened.writing:
            if opened.pace.off_loop:
                return await opened.commit_thread.run(work)
            return work()

    async def write_aside(self, work: Callable[[apsw.Connection], T]) -> T:
        """What takes long, with the connection that writes, off the loop."""
        opened = self.require_open()
        async with opened.writing:
            return await opened.commit_thread.run(lambda: work(opened.transactions.db))

    def may_write_at_once(self) -> bool:
        """The disk is fast, and nothing else is being written."""
        opened = self.require_open()
        return not opened.pace.off_loop and not opened.writing.locked()

    def require_open(self) -> _Opened:
        """What is open; raises `StoreError` if nothing is, or if it is not this process's."""
        if self._opened is None:
            raise self._closed()
        if not self._lock.is_held:
            raise StoreError(
                f"{self.description} belongs to the process that opened it, and this one is forked from that: let the "
                f"parent do the work, or start the process with the method 'spawn' and a store of its own"
            )
        return self._opened

    def _closed(self) -> StoreError:
        return StoreError(f"{self.description} is not open; call open() first")
