"""The one connection that writes: commits, sessions, claims and deletions, each as one transaction.

Synchronous, and used by one caller at a time; the store decides on which thread. The fence is inside the statements:
an insert names the epoch and the position it expects, and adds no row when either is not the run's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar, assert_never

import apsw
import msgspec

from aeterna.durable.stores.contract import Append, CreateRun, Exists, FencedOff, Outcome, RunRow, Write
from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.pace import CommitPace
from aeterna.durable.stores.sqlite.plan import Plan, Values
from aeterna.durable.stores.sqlite.reader import run_row
from aeterna.durable.stores.sqlite.statements import QUERIES
from aeterna.durable.stores.text import refuse_unrecordable, require_text
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import InvariantError

T = TypeVar("T")

_GROUPS = (
    (QUERIES["insert_run"], "runs"),
    (QUERIES["insert_segment"], "segments"),
    (QUERIES["change_head"], "heads"),
)


_LENGTHS_KEPT_MAX = 50_000


class _OtherThanPlannedError(Exception):
    """A batch changed fewer rows than planned: some write of it has another outcome."""


class Writer:
    """Carries out everything that changes the file at ``path``, for one namespace. ``pace`` learns how long each
    commit takes."""

    def __init__(self, db: apsw.Connection, path: Path, namespace: str, clock: Clock, pace: CommitPace) -> None:
        # Only `close` may checkpoint and remove the write-ahead log. A forked child has the connection too, and drops
        # it when it ends; it would take its parent's log for the one that lies there by then, and remove that.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._db = db
        self._path = path
        self._clock = clock
        self._pace = pace
        self._namespace: int = self._transact("open", lambda: self._name_namespace(namespace))
        # Keys are given here and not by SQLite, which would give the key of a deleted newest run a second time: an
        # append that still names the old run must find nothing. After a restart nobody is left who could name it.
        self.next_key: int = self._transact("open", lambda: self._rows("last_key")[0][0]) + 1
        # How long histories are, for the runs at work. Nobody else writes, so it holds; asking SQLite inside the
        # insert doubles what the insert costs, because its rows then go through a temporary table.
        self._lengths: dict[int, int] = {}

    def close(self) -> None:
        """Close the connection, which moves the WAL into the file."""
        with explaining(self._path, "close"):
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            self._db.close()

    def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`. A batch is tried with a few statements for all, and one by one when not all of it went
        as planned."""
        try:
            plan = Plan(self._namespace, self.next_key, self._length_of, writes)
        except (UnicodeEncodeError, InvariantError):
            refuse_unrecordable(writes)
            raise
        if plan.is_certain:
            try:
                outcomes = self._transact("write to", lambda: self._carry_out(plan))
            except _OtherThanPlannedError:
                pass
            else:
                self._learn(plan)
                return outcomes
        self._lengths.clear()
        try:
            return self._transact("write to", lambda: [self._write_one(write) for write in writes])
        except BaseException:
            self._lengths.clear()
            raise

    def open_session(self, at_us: int, host: str, pid: int) -> int:
        """See `Store.open_session`: the new session is the only live one."""
        require_text("host", host)

        def work() -> int:
            self._rows("close_all_sessions", at_us)
            self._rows("disown_all")
            number: int = self._rows("insert_session", host, pid, at_us)[0][0]
            return number

        return self._transact("open a session in", work)

    def close_session(self, session: int, at_us: int) -> None:
        """See `Store.close_session`; a session that is not live is left as it is."""

        def work() -> None:
            self._rows("close_session", session, at_us)
            self._rows("disown", session)

        self._transact("close a session in", work)

    def claim(self, session: int, now_us: int, limit: int) -> list[RunRow]:
        """See `Store.claim`; a session that is not live gets nothing."""

        def work() -> list[RunRow]:
            return [self._take(key, session) for (key,) in self._rows("claimable", self._namespace, now_us, limit)]

        with explaining(self._path, "claim runs in", self._db):
            if limit <= 0 or not self._rows("session_lives", session):
                return []
            # Looked at before a transaction is begun: most claims find nothing, and then write nothing.
            if not self._rows("claimable", self._namespace, now_us, 1):
                return []
        return self._transact("claim runs in", work)

    def claim_run(self, session: int, run_id: str) -> RunRow | None:
        """See `Store.claim_run`; a session that is not live gets nothing."""
        require_text("run id", run_id)

        def work() -> RunRow | None:
            if not self._rows("session_lives", session):
                return None
            keys = self._rows("claimable_by_id", self._namespace, run_id, session)
            return self._take(keys[0][0], session) if keys else None

        return self._transact("claim runs in", work)

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        for run_id in run_ids:
            require_text("run id", run_id)

        def work() -> int:
            # All are chosen before any is deleted, so that the order of the ids makes no difference.
            return self._delete([row for run_id in run_ids for row in self._rows("deletable", self._namespace, run_id)])

        return self._transact("delete from", work)

    def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""

        def work() -> int:
            return self._delete(self._rows("finished_before", self._namespace, before_us, max(limit, 0)))

        return self._transact("delete from", work)

    def _transact(self, action: str, work: Callable[[], T]) -> T:
        with explaining(self._path, action, self._db):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                started_us = self._clock.monotonic_us()
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        self._pace.record(self._clock.monotonic_us() - started_us)
        return result

    def _roll_back(self) -> None:
        if not self._db.get_autocommit():  # Some errors (a full disk) have rolled back already.
            self._db.execute("ROLLBACK")

    def _rows(self, name: str, *values: object) -> list[Values]:
        rows: list[Values] = self._db.execute(QUERIES[name], values).fetchall()
        return rows

    def _name_namespace(self, namespace: str) -> int:
        self._rows("name_namespace", namespace)
        key: int = self._rows("namespace_key", namespace)[0][0]
        return key

    def _carry_out(self, plan: Plan) -> list[Outcome]:
        changes_before = self._db.total_changes()
        for statement, group in _GROUPS:
            values: list[Values] = getattr(plan, group)
            if values:
                self._db.executemany(statement, values)
        if self._db.total_changes() - changes_before != plan.row_changes:
            raise _OtherThanPlannedError
        return plan.outcomes

    def _write_one(self, write: Write) -> Outcome:
        match write:
            case CreateRun():
                return self._create_one(write)
            case Append():
                return self._append_one(write)
            case _:
                assert_never(write)

    def _create_one(self, write: CreateRun) -> Outcome:
        plan = Plan(self._namespace, self.next_key, self._length_of, [write])
        try:
            self._carry_out(plan)
        except _OtherThanPlannedError:
            key = self._rows("key_by_id", self._namespace, write.id)[0][0]
            return Exists(run_row(self._rows("run_by_key", key)[0], self._path))
        self._learn(plan)
        return plan.outcomes[0]

    def _append_one(self, write: Append) -> Outcome:
        found = self._rows("run_position", write.key)
        if not found or found[0][1] != write.epoch:
            return FencedOff()
        run_id, epoch, length = found[0]
        if write.first != length:
            raise InvariantError(
                f"run {run_id!r} has {length} events; an append of epoch {epoch} starts at {write.first}"
            )
        plan = Plan(self._namespace, self.next_key, lambda _: length, [write])
        self._carry_out(plan)
        self._learn(plan)
        return plan.outcomes[0]

    def _length_of(self, key: int) -> int | None:
        length = self._lengths.get(key)
        if length is None:
            with explaining(self._path, "read", self._db):
                found = self._rows("run_position", key)
            length = found[0][2] if found else None
        return length

    def _learn(self, plan: Plan) -> None:
        self.next_key = plan.next_key
        if len(self._lengths) > _LENGTHS_KEPT_MAX:
            self._lengths.clear()
        self._lengths.update(plan.lengths)

    def _take(self, key: int, session: int) -> RunRow:
        row = run_row(self._rows("run_by_key", key)[0], self._path)
        self._rows("take_run", key, session)
        return msgspec.structs.replace(row, owner=session, epoch=row.epoch + 1)

    def _delete(self, keys: Iterable[Values]) -> int:
        families = (self._rows("family", self._namespace, key) for (key,) in keys)
        found = list(dict.fromkeys(row for family in families for row in family))
        self._db.executemany(QUERIES["delete_segments"], found)
        self._db.executemany(QUERIES["delete_run"], found)
        self._lengths.clear()
        return len(found)
