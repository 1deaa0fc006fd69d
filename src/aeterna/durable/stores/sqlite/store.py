"""The SQLite store: who may touch the file, on which thread work runs, and one method per promise of the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import Outcome, Page, RunQuery, RunRow, Write
from aeterna.durable.stores.sqlite.backup import back_up
from aeterna.durable.stores.sqlite.checking import check_database
from aeterna.durable.stores.sqlite.connections import Synchronous, open_reader, open_writer
from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.lock import FileLock
from aeterna.durable.stores.sqlite.pace import CommitPace
from aeterna.durable.stores.sqlite.reader import Queries
from aeterna.durable.stores.sqlite.side_thread import SideThread
from aeterna.durable.stores.sqlite.writer import Writer
from aeterna.durable.stores.text import require_text
from aeterna.kernel.clock import Clock, SystemClock
from aeterna.kernel.errors import StoreError

T = TypeVar("T")


class _Opened:
    """What an open store holds."""

    def __init__(self, path: Path, namespace: str, synchronous: Synchronous, clock: Clock) -> None:
        self.pace = CommitPace()
        db = open_writer(path, synchronous)
        try:
            self.writer = Writer(db, path, namespace, clock, self.pace)
            self.queries = Queries(open_reader(path), path, namespace)
        except BaseException:
            db.close()
            raise
        self.writing = asyncio.Lock()
        self.commit_thread = SideThread("aeterna-commit")
        self.copy_thread = SideThread("aeterna-copy")


class SqliteStore:
    """Runs and histories in one SQLite file, held by one engine at a time.

    Durability: ``synchronous`` "full" syncs every commit before it is acknowledged; what was acknowledged survives a
    crash of the process and of the machine. "normal" syncs at checkpoints only: a crash of the process loses nothing,
    one of the machine may lose the latest commits, never tear one.

    Threads: a commit runs on the event loop, which on a fast disk beats every hand-over to a thread. How long the
    COMMIT takes is measured all the time; when its moving average passes 5 ms, writes move to one helper thread, and
    come back when it falls below 2 ms (see `CommitPace`). Reading has a connection of its own, and never waits for
    writing. Backup and check run on a thread.

    Forks: a child that is forked (by Python) while the store is open has neither the lock nor the store, and may live
    on when this process dies. What it inherits of SQLite's files does no harm: their locks are POSIX locks, which
    belong to one process, so closing them in the child unlocks nothing here; and without `close`, which does nothing in
    the child, a connection ends without a checkpoint (see `Writer`).

    Space: deleted runs leave free pages, which later runs fill; the file does not shrink. (SQLite's auto_vacuum would
    keep a map of pages and write more for every step, to give back space that a busy store takes again at once.)
    """

    def __init__(
        self,
        path: Path,
        namespace: str = "default",
        *,
        synchronous: Synchronous = "full",
        clock: Clock | None = None,
    ) -> None:
        require_text("namespace", namespace)
        self.path = path
        self.namespace = namespace
        self.description = f"sqlite at {path}"
        self._synchronous = synchronous
        self._clock = clock or SystemClock()
        self._lock = FileLock(path)
        self._opened: _Opened | None = None

    async def open(self) -> None:
        """See `Store.open`. Makes missing directories. Raises `StoreLockedError` while another engine has the file,
        `StoreCorruptError` for a damaged or foreign file, `StoreTooNewError`, `StoreReadOnlyError`,
        `StoreFullError`."""
        if self._opened is not None:
            return
        with explaining(self.path, "open"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire(self._clock)
        try:
            self._opened = _Opened(self.path, self.namespace, self._synchronous, self._clock)
        except BaseException:
            self._lock.release()
            raise

    async def close(self) -> None:
        """See `Store.close`. Waits for a commit that is on its way."""
        opened, self._opened = self._opened, None
        if opened is None or not self._lock.is_held:  # In a forked child nothing is open that it could give back.
            return
        async with opened.writing:
            try:
                opened.commit_thread.close()
                opened.copy_thread.close()
                opened.queries.close()
                opened.writer.close()
            finally:
                self._lock.release()

    async def open_session(self, at_us: int, host: str, pid: int) -> int:
        """See `Store.open_session`."""
        return await self._write(lambda writer: writer.open_session(at_us, host, pid))

    async def close_session(self, session: int, at_us: int) -> None:
        """See `Store.close_session`."""
        await self._write(lambda writer: writer.close_session(session, at_us))

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`. After an error the store goes on working as soon as the cause is gone."""
        return await self._write(lambda writer: writer.commit(writes))

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """See `Store.commit_at_once`: on the loop while the disk is fast (see `CommitPace`) and nothing else is being
        written."""
        opened = self._require_open()
        if opened.pace.off_loop or opened.writing.locked():
            return None
        return opened.writer.commit(writes)

    async def claim(self, session: int, now_us: int, limit: int) -> list[RunRow]:
        """See `Store.claim`."""
        return await self._write(lambda writer: writer.claim(session, now_us, limit))

    async def claim_run(self, session: int, run_id: str) -> RunRow | None:
        """See `Store.claim_run`."""
        return await self._write(lambda writer: writer.claim_run(session, run_id))

    async def next_wake(self) -> int | None:
        """See `Store.next_wake`."""
        return self._require_open().queries.next_wake()

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        return self._require_open().queries.get_run(run_id)

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`."""
        return self._require_open().queries.history(run_id, start)

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        return self._require_open().queries.list_runs(query)

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        return self._require_open().queries.count_runs()

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        return await self._write(lambda writer: writer.delete_runs(run_ids))

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""
        return await self._write(lambda writer: writer.delete_finished(before_us, limit))

    async def backup(self, target: Path) -> None:
        """See `Store.backup`: a copy of the moment it began, synced when this returns.

        Raises `UsageError` when ``target`` exists. The write-ahead log grows by what is committed meanwhile."""
        await back_up(self.path, target, self._require_open().copy_thread)

    async def check(self) -> list[str]:
        """What is wrong with the file, one line per finding, empty when nothing is: SQLite's own check of every page,
        and that every history decodes and runs from event 0 without a hole. Reads everything, off the loop."""
        return await self._require_open().copy_thread.run(lambda: check_database(self.path))

    async def _write(self, work: Callable[[Writer], T]) -> T:
        opened = self._require_open()
        async with opened.writing:
            if opened.pace.off_loop:
                return await opened.commit_thread.run(lambda: work(opened.writer))
            return work(opened.writer)

    def _require_open(self) -> _Opened:
        if self._opened is None:
            raise StoreError(f"{self.description} is not open; call open() first")
        if not self._lock.is_held:
            raise StoreError(
                f"{self.description} belongs to the process that opened it, and this one is forked from that: let the "
                f"parent do the work, or start the process with the method 'spawn' and a store of its own"
            )
        return self._opened
