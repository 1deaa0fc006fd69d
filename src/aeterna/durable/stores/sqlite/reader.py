"""Reading a store: the same statements for the engine and for a command that looks on while the engine runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw

from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.core.segment import decode_segment
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import NEVER_US, Message, MessageKind, Page, RunQuery, RunRow
from aeterna.durable.stores.sqlite.checking import check_database
from aeterna.durable.stores.sqlite.connections import open_reader
from aeterna.durable.stores.sqlite.faults import corrupt, explaining
from aeterna.durable.stores.sqlite.rows import run_row
from aeterna.durable.stores.sqlite.side_thread import SideThread
from aeterna.durable.stores.sqlite.statements import QUERIES
from aeterna.durable.stores.text import require_text
from aeterna.kernel.errors import StoreCorruptError, StoreError

_KEY_MAX = 2**63 - 1


class Queries:
    """The reading statements on one connection, synchronous. ``namespace`` None stands for all of them."""

    def __init__(self, db: apsw.Connection, path: Path, namespace: str | None) -> None:
        self._db = db
        self._path = path
        self._namespace = namespace

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._db.close()

    def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        require_text("run id", run_id)
        rows = self._all("run_by_id", self._namespace, run_id)
        return run_row(rows[0], self._path) if rows else None

    def history(self, run_id: str, start: int) -> list[AnyEvent]:
        """See `Store.history`; raises `StoreCorruptError` rather than return a history with a hole."""
        require_text("run id", run_id)
        start = max(start, 0)
        segments = self._all("history", self._namespace, run_id, start)
        if not segments:
            return []
        first = segments[0][0]
        position = min(first, start)
        events: list[AnyEvent] = []
        for seq, count, body in segments:
            events += self._decode(run_id, position, seq, body)
            position += count
            if len(events) != position - first:
                raise corrupt(self._path, "read", f"run {run_id!r}: segment {seq} should hold {count} events")
        return events[start - first :]

    def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        require_text("workflow", query.workflow or "")
        limit = max(query.limit, 0)
        before = _KEY_MAX if query.before is None else query.before
        states = json.dumps(query.states) if query.states else None
        found = self._all("list_runs", self._namespace, before, query.workflow, states, limit + 1)
        rows = tuple(run_row(values, self._path) for values in found[:limit])
        return Page(rows, rows[-1].key if rows and len(found) > limit else None)

    def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        counts = self._all("count_runs", self._namespace)
        try:
            return {State(state): count for state, count in counts}
        except ValueError as error:
            raise corrupt(self._path, "read", str(error)) from error

    def next_wake(self) -> int | None:
        """See `Store.next_wake`."""
        found = self._all("next_wake", self._namespace, NEVER_US)
        wake: int | None = found[0][0] if found else None
        return wake

    def inbox(self, run_id: str) -> list[Message]:
        """See `Store.inbox`."""
        require_text("run id", run_id)
        return [
            Message(number, name_id, MessageKind(kind), name, Payload(payload), at_us)
            for number, name_id, kind, name, payload, at_us in self._all("inbox", self._namespace, run_id)
        ]

    def unread(self, session: int) -> list[str]:
        """See `Store.unread`."""
        return [run_id for (run_id,) in self._all("unread", self._namespace, session)]

    def poisoned(self, crash_limit: int, limit: int) -> list[RunRow]:
        """See `Store.poisoned`."""
        return [run_row(values, self._path) for values in self._all("poisoned", self._namespace, crash_limit, limit)]

    def _all(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        # All rows at once: a cursor left half-read would hold its snapshot, and with it the WAL.
        with explaining(self._path, "read", self._db):
            return self._db.execute(QUERIES[name], values).fetchall()

    def _decode(self, run_id: str, position: int, seq: int, body: bytes) -> list[AnyEvent]:
        if seq != position:
            raise corrupt(
                self._path, "read", f"run {run_id!r}: event {position} is missing, the next segment starts at {seq}"
            )
        try:
            return decode_segment(body)
        except StoreCorruptError as error:
            raise corrupt(self._path, "read", f"run {run_id!r}, segment {seq}: {error}") from error


class SqliteReader:
    """A store seen from outside its engine: read-only, without the lock, as of the engine's last commit.

    ``namespace`` None shows all of them; an id that several have means the newest run of that id then.
    Every method raises `StoreError`, also when there is no file at ``path``; no file is ever created there."""

    def __init__(self, path: Path, namespace: str | None = None) -> None:
        self.path = path
        self.description = f"sqlite at {path} (read-only)"
        self._namespace = namespace
        self._queries: Queries | None = None

    async def open(self) -> None:
        """Open the file for reading. Idempotent."""
        if self._queries is None:
            self._queries = Queries(open_reader(self.path), self.path, self._namespace)

    async def close(self) -> None:
        """Close it. Idempotent."""
        if self._queries is not None:
            self._queries.close()
            self._queries = None

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        return self._opened().get_run(run_id)

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`."""
        return self._opened().history(run_id, start)

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        return self._opened().list_runs(query)

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        return self._opened().count_runs()

    async def check(self) -> list[str]:
        """See `SqliteStore.check`."""
        self._opened()
        thread = SideThread("aeterna-check")
        try:
            return await thread.run(lambda: check_database(self.path))
        finally:
            thread.close()

    def _opened(self) -> Queries:
        if self._queries is None:
            raise StoreError(f"{self.description} is not open; call open() first")
        return self._queries
