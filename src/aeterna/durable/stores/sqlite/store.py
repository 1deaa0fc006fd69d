"""The SQLite store: one method per promise of the contract.

Who may touch the file, and on which thread, is in ``file``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import (
    ANY,
    Choice,
    Message,
    Notice,
    Outcome,
    Outlook,
    Page,
    RunQuery,
    RunRow,
    SessionRow,
    Write,
)
from aeterna.durable.stores.sqlite.backup import back_up
from aeterna.durable.stores.sqlite.checking import check_database
from aeterna.durable.stores.sqlite.connections import Synchronous
from aeterna.durable.stores.sqlite.file import Rooms, SqliteFile
from aeterna.durable.stores.sqlite.registered import SqliteRegistry
from aeterna.durable.stores.sqlite.space import shrink, size_of
from aeterna.durable.stores.text import require_text
from aeterna.kernel.clock import Clock, SystemClock

T = TypeVar("T")


class SqliteStore(SqliteRegistry):
    """Runs and histories in one SQLite file, held by one engine, or one server, at a time.

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

    commit_shards = 1
    lease_us = None
    is_shared = False

    def __init__(
        self,
        path: Path,
        namespace: str = "default",
        *,
        synchronous: Synchronous = "full",
        clock: Clock | None = None,
        file: SqliteFile | None = None,
    ) -> None:
        require_text("namespace", namespace)
        self.path = path
        self.namespace = namespace
        self.description = f"sqlite at {path}"
        self._file = file or SqliteFile(path, synchronous, clock or SystemClock())

    async def open(self) -> None:
        """See `Store.open`. Makes missing directories. Raises `StoreLockedError` while another engine has the file,
        `StoreCorruptError` for a damaged or foreign file, `StoreTooNewError`, `StoreReadOnlyError`,
        `StoreFullError`."""
        await self._file.open(self.namespace)

    async def close(self) -> None:
        """See `Store.close`. Waits for a commit that is on its way."""
        await self._file.close(self.namespace)

    # Sessions.

    async def open_session(
        self, at_us: int, host: str, pid: int, *, lease_us: int | None = None, name: str = "", about: str = "{}"
    ) -> int:
        """See `Store.open_session`."""
        return await self._write(lambda rooms: rooms.sessions.open(at_us, host, pid, lease_us, name, about))

    async def close_session(self, session: int, at_us: int, *, died: bool = False) -> None:
        """See `Store.close_session`."""
        await self._write(lambda rooms: rooms.sessions.close(session, at_us, died=died))

    async def renew_sessions(self, sessions: Sequence[int], expires_us: int) -> list[int]:
        """See `Store.renew_sessions`."""
        return await self._write(lambda rooms: rooms.sessions.renew(sessions, expires_us))

    async def expire_sessions(self, now_us: int) -> list[int]:
        """See `Store.expire_sessions`."""
        return await self._write(lambda rooms: rooms.sessions.expire(now_us))

    async def list_sessions(self, *, limit: int = 1000) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        return await self._write(lambda rooms: rooms.sessions.live(limit))

    # Writing.

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`. After an error the store goes on working as soon as the cause is gone."""
        return await self._write(lambda rooms: rooms.writer.commit(writes))

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """See `Store.commit_at_once`: on the loop while the disk is fast (see `CommitPace`) and nothing else is being
        written."""
        return self._rooms().writer.commit(writes) if self._file.may_write_at_once() else None

    async def claim(self, session: int, now_us: int, limit: int, choice: Choice = ANY) -> list[RunRow]:
        """See `Store.claim`."""
        return await self._write(lambda rooms: rooms.claiming.claim(session, now_us, limit, choice))

    async def claim_run(self, session: int, run_id: str, *, by_force: bool = False) -> RunRow | None:
        """See `Store.claim_run`."""
        return await self._write(lambda rooms: rooms.claiming.claim_run(session, run_id, by_force=by_force))

    async def release_runs(self, session: int, except_keys: Sequence[int], *, at_us: int) -> int:
        """See `Store.release_runs`."""
        return await self._write(lambda rooms: rooms.claiming.release(session, except_keys))

    def set_crash_limit(self, limit: int) -> None:
        """See `Store.set_crash_limit`."""
        self._crash_limit = limit

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        return await self._write(lambda rooms: rooms.writer.delete_runs(run_ids))

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""
        return await self._write(lambda rooms: rooms.writer.delete_finished(before_us, limit))

    async def forget(self, before_us: int, limit: int) -> int:
        """See `Store.forget`."""
        return await self._write(lambda rooms: rooms.sessions.forget(before_us, limit))

    # Reading.

    async def poisoned(self, limit: int) -> list[RunRow]:
        """See `Store.poisoned`."""
        rooms = self._rooms()
        return rooms.queries.poisoned(rooms.claiming.crash_limit, max(limit, 0))

    async def next_wake(self) -> int | None:
        """See `Store.next_wake`."""
        return self._rooms().queries.next_wake()

    async def inbox(self, run_id: str) -> list[Message]:
        """See `Store.inbox`."""
        return self._rooms().queries.inbox(run_id)

    async def unread(self, session: int) -> list[str]:
        """See `Store.unread`."""
        return self._rooms().queries.unread(session)

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        return self._rooms().queries.get_run(run_id)

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`."""
        return self._rooms().queries.history(run_id, start)

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        return self._rooms().queries.list_runs(query)

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        return self._rooms().queries.count_runs()

    async def backup(self, target: Path) -> None:
        """See `Store.backup`: a copy of the moment it began, synced when this returns.

        Raises `UsageError` when ``target`` exists. The write-ahead log grows by what is committed meanwhile."""
        await back_up(self.path, target, self._file.require_open().copy_thread)

    async def vacuum(self) -> tuple[int, int]:
        """See `Shrinkable.vacuum`. The loop goes on meanwhile."""
        before = size_of(self.path)
        await self._file.write_aside(lambda db: shrink(self.path, db))
        return before, size_of(self.path)

    async def check(self) -> list[str]:
        """What is wrong with the file, one line per finding, empty when nothing is: SQLite's own check of every page,
        and that every history decodes and runs from event 0 without a hole. Reads everything, off the loop."""
        return await self._file.require_open().copy_thread.run(lambda: check_database(self.path))

    # Other processes: there are none that work on the file.

    def watch(self, outlook: Outlook) -> None:
        """See `Store.watch`."""

    def notify(self, notices: Sequence[Notice]) -> None:
        """See `Store.notify`."""

    async def _write(self, work: Callable[[Rooms], T]) -> T:
        rooms = self._rooms()
        return await self._file.write(lambda: work(rooms))


class SqliteNamespaces:
    """The stores of several applications in one file."""

    def __init__(self, path: Path, *, synchronous: Synchronous = "full", clock: Clock | None = None) -> None:
        self.path = path
        self._file = SqliteFile(path, synchronous, clock or SystemClock())
        self._stores: dict[str, SqliteStore] = {}

    async def open(self) -> None:
        """See `Namespaces.open`: takes the file, and makes it what this release reads. Errors as in
        `SqliteStore.open`. Idempotent."""
        self._file.hold()

    async def close(self) -> None:
        """See `Namespaces.close`. Idempotent."""
        for store in self._stores.values():
            await store.close()
        await self._file.let_go()

    async def names(self) -> list[str]:
        """See `Namespaces.names`."""
        return await self._file.namespace_names()

    def store(self, namespace: str) -> SqliteStore:
        """See `Namespaces.store`."""
        if namespace not in self._stores:
            self._stores[namespace] = SqliteStore(self.path, namespace, file=self._file)
        return self._stores[namespace]
