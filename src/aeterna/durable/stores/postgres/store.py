"""The PostgreSQL store: one method per promise of the contract."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import (
    ANY,
    CRASH_LIMIT,
    NEVER_US,
    Choice,
    Message,
    Notice,
    Outcome,
    Outlook,
    Page,
    QueueRow,
    QueueState,
    Rank,
    RunQuery,
    RunRow,
    ScheduleRow,
    SessionRow,
    TokenRow,
    Write,
)
from aeterna.durable.stores.postgres import reader, registry, sessions, writer
from aeterna.durable.stores.postgres.connections import COMMIT_SHARDS, Session
from aeterna.durable.stores.postgres.database import Database
from aeterna.durable.stores.postgres.deleting import delete_finished, delete_runs, forget
from aeterna.durable.stores.postgres.place import Place, parse_place
from aeterna.durable.stores.postgres.plan import Plan
from aeterna.durable.stores.postgres.rows import from_db, run_row, to_db
from aeterna.durable.stores.text import refuse_unrecordable, require_choice, require_text
from aeterna.kernel.clock import Clock, SystemClock
from aeterna.kernel.errors import InvariantError, StoreError, UsageError

T = TypeVar("T")


class PostgresStore:
    """The runs of one namespace in a PostgreSQL database that any number of processes share.

    ``place``: the database's URL (see `parse_place`), or an open one that several namespaces share. Durability is the
    server's (``synchronous_commit``); with ``synchronous=False`` a crash of the server may lose the latest commits.

    What a broken connection, a restart of the server, a failover or a conflict undid is done again, for ten seconds;
    what may have been done is recognized by what it wrote. After that the error says what to do, and the store goes on
    working as soon as the cause is gone."""

    is_shared = True
    commit_shards = COMMIT_SHARDS
    lease_us = None
    """So many commits at once are worth while: while one waits for the disk, the next ones are sent."""

    def __init__(
        self,
        place: str | Database,
        namespace: str = "default",
        *,
        synchronous: bool = True,
        clock: Clock | None = None,
    ) -> None:
        require_text("namespace", namespace)
        self._database = (
            Database(parse_place(place), clock or SystemClock(), synchronous=synchronous)
            if isinstance(place, str)
            else place
        )
        self.namespace = namespace
        self.description = self._database.place.description
        self._key: int | None = None
        self._outlook: Outlook | None = None
        self._crash_limit = CRASH_LIMIT

    @property
    def place(self) -> Place:
        """Where it is."""
        return self._database.place

    async def open(self) -> None:
        """See `Store.open`. Raises `StoreTooNewError`, `StoreReadOnlyError` where this user may not create tables, and
        `StoreError` for a server that cannot be reached."""
        if self._key is not None:
            return
        await self._database.open()
        try:
            self._key = await self._database.namespace_key(self.namespace)
        except BaseException:
            await self._database.close()
            raise
        if self._outlook is not None and self._database.notifier is not None:
            self._database.notifier.watch(self.namespace, self._outlook)

    async def close(self) -> None:
        """See `Store.close`."""
        if self._key is None:
            return
        self._key = None
        if self._database.notifier is not None:
            self._database.notifier.forget(self.namespace)
        await self._database.close()

    async def open_session(
        self, at_us: int, host: str, pid: int, *, lease_us: int | None = None, name: str = "", about: str = "{}"
    ) -> int:
        """See `Store.open_session`."""
        for what, text in (("host", host), ("name", name), ("about", about)):
            require_text(what, text)
        expires_us = None if lease_us is None else at_us + lease_us
        values = (to_db(host), pid, at_us, expires_us, to_db(name), to_db(about))
        rows = await self._rows("open a session in", "open_session", *values)
        number: int = rows[0][0]
        return number

    async def close_session(self, session: int, at_us: int, *, died: bool = False) -> None:
        """See `Store.close_session`; a session that is not live is left as it is."""
        await self._do("close a session in", sessions.end_sessions, [session], at_us, died=died)

    async def renew_sessions(self, sessions: Sequence[int], expires_us: int) -> list[int]:
        """See `Store.renew_sessions`."""
        rows = await self._rows("renew sessions in", "renew_sessions", list(sessions), expires_us)
        alive = {number for (number,) in rows}
        return [number for number in sessions if number in alive]

    async def expire_sessions(self, now_us: int) -> list[int]:
        """See `Store.expire_sessions`."""
        expired = await self._do("expire sessions in", sessions.expire_sessions, now_us)
        await self._database.tend()
        return expired

    async def list_sessions(self, *, limit: int = 1000) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        return [
            SessionRow(
                number, from_db(host), pid, opened_us, closed_us, expires_us, from_db(name), from_db(about), runs
            )
            for number, host, pid, opened_us, closed_us, expires_us, name, about, runs in await self._rows(
                "read", "list_sessions", max(limit, 0)
            )
        ]

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`. Up to `commit_shards` of them at once are of use; who commits the writes of one run in
        two commits waits for the first."""
        key = self._require_open()
        try:
            plan = Plan(writes)
        except (UnicodeEncodeError, InvariantError):
            refuse_unrecordable(writes)
            raise
        if not plan.writes:
            return []
        day = self._database.today
        return await self._database.do("write to", lambda session: writer.commit(session, key, day, plan))

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """See `Store.commit_at_once`: a server cannot be asked without a task switch."""
        self._require_open()
        return None

    async def claim(self, session: int, now_us: int, limit: int, choice: Choice = ANY) -> list[RunRow]:
        """See `Store.claim`; a session that is not live gets nothing."""
        key = self._require_open()
        require_choice(choice)
        if limit <= 0:
            return []
        claiming = sessions.Claiming(key, session, now_us, choice, self._crash_limit)
        return await self._database.do("claim runs in", lambda opened: claiming.claim(opened, limit))

    async def claim_run(self, session: int, run_id: str, *, by_force: bool = False) -> RunRow | None:
        """See `Store.claim_run`; a session that is not live gets nothing."""
        require_text("run id", run_id)
        rows = await self._rows("claim runs in", "claim_run", session, to_db(run_id), by_force)
        return run_row(rows[0], self.place) if rows else None

    async def release_runs(self, session: int, except_keys: Sequence[int], *, at_us: int) -> int:
        """See `Store.release_runs`."""
        self._require_open()
        return len(
            await self._database.do(
                "release runs in", lambda opened: opened.rows("disown", [session], list(except_keys), False)
            )
        )

    def set_crash_limit(self, limit: int) -> None:
        """See `Store.set_crash_limit`."""
        self._crash_limit = limit

    async def poisoned(self, limit: int) -> list[RunRow]:
        """See `Store.poisoned`."""
        return [
            run_row(values, self.place)
            for values in await self._rows("read", "poisoned", self._crash_limit, max(limit, 0))
        ]

    async def next_wake(self) -> int | None:
        """See `Store.next_wake`."""
        rows = await self._rows("read", "next_wake", NEVER_US)
        return rows[0][0] if rows else None

    async def inbox(self, run_id: str) -> list[Message]:
        """See `Store.inbox`."""
        require_text("run id", run_id)
        return await self._do("read", reader.inbox, run_id)

    async def unread(self, session: int) -> list[str]:
        """See `Store.unread`."""
        self._require_open()
        rows = await self._database.do("read", lambda opened: opened.rows("unread", session))
        return [from_db(run_id) for (run_id,) in rows]

    def watch(self, outlook: Outlook) -> None:
        """See `Store.watch`."""
        self._outlook = outlook

    def notify(self, notices: Sequence[Notice]) -> None:
        """See `Store.notify`. Behind a pooler, and in a cluster, nobody hears it: they look once a second."""
        if self._key is not None and self._database.notifier is not None:
            self._database.notifier.notify(self.namespace, list(notices))

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        require_text("run id", run_id)
        rows = await self._rows("read", "runs_by_id", [to_db(run_id)])
        return run_row(rows[0], self.place) if rows else None

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`."""
        require_text("run id", run_id)
        return await self._do("read", reader.history, run_id, start)

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        require_text("workflow", query.workflow or "")
        return await self._do("read", reader.list_runs, query)

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        return await self._do("read", reader.count_runs)

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        for run_id in run_ids:
            require_text("run id", run_id)
        return await self._do("delete from", delete_runs, run_ids)

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`. Of runs whose partition gets no new ones, the events are left to lie, where
        nobody finds them, until the partition is dropped as a whole."""
        count = await self._do("delete from", delete_finished, before_us, max(limit, 0), self._database.will_be_dropped)
        if count and count < limit:
            await self._database.drop_spent_partitions()
        return count

    async def forget(self, before_us: int, limit: int) -> int:
        """See `Store.forget`."""
        return await self._do("delete from", forget, before_us, max(limit, 0))

    async def backup(self, target: Path) -> None:
        """Always raises `UsageError`: PostgreSQL's own tools copy a database."""
        raise UsageError(
            f"cannot back up to {target}: the store is a PostgreSQL database. Run `pg_dump --format=custom "
            f"--schema={self.place.schema} --file={target}` against {self.place.server}, database {self.place.database}"
        )

    async def put_queue(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`."""
        require_text("queue", queue.name)
        await self._do("write to", registry.put_queue, queue)

    async def delete_queue(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        require_text("queue", name)
        return bool(await self._rows("delete from", "delete_queue", to_db(name)))

    async def list_queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        return await self._do("read", registry.list_queues)

    async def rank(self, run: RunRow) -> Rank:
        """See `Registry.rank`."""
        return await self._do("read", registry.rank, run)

    async def put_schedule(self, schedule: ScheduleRow) -> None:
        """See `Registry.put_schedule`."""
        require_text("schedule", schedule.id + schedule.spec + schedule.last_run)
        await self._do("write to", registry.put_schedule, schedule)

    async def delete_schedule(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        require_text("schedule", schedule)
        return bool(await self._rows("delete from", "delete_schedule", to_db(schedule)))

    async def list_schedules(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        return await self._do("read", registry.list_schedules)

    async def next_schedule(self) -> int | None:
        """See `Registry.next_schedule`."""
        rows = await self._rows("read", "next_schedule")
        next_us: int | None = rows[0][0]
        return next_us

    async def put_token(self, token: TokenRow) -> None:
        """See `Registry.put_token`."""
        require_text("token", token.namespace + token.role + token.note)
        self._require_open()
        await self._database.do("write to", lambda session: registry.put_token(session, token))

    async def delete_token(self, hash_: bytes) -> bool:
        """See `Registry.delete_token`."""
        self._require_open()
        return bool(await self._database.do("delete from", lambda session: session.rows("delete_token", hash_)))

    async def list_tokens(self) -> list[TokenRow]:
        """See `Registry.list_tokens`."""
        self._require_open()
        return await self._database.do("read", registry.list_tokens)

    async def _do(self, action: str, work: Callable[..., Coroutine[Any, Any, T]], *values: Any, **named: Any) -> T:
        """``work`` with a session and the namespace's number before ``values``."""
        key = self._require_open()

        async def carry_out(session: Session) -> T:
            return await work(session, key, *values, **named)

        return await self._database.do(action, carry_out)

    async def _rows(self, action: str, name: str, *values: Any) -> list[Any]:
        """The rows of a statement whose first parameter is the namespace."""
        key = self._require_open()
        return await self._database.do(action, lambda session: session.rows(name, key, *values))

    def _require_open(self) -> int:
        if self._key is None:
            raise StoreError(f"{self.description} is not open; call open() first")
        return self._key
