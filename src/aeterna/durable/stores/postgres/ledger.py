"""A PostgreSQL store read from beginning to end; see `stores.ledger`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from aeterna.durable.stores.ledger import Finding, MessageRecord, RunRecord, SegmentRecord, Wanted
from aeterna.durable.stores.postgres.connections import Connections, close_connection
from aeterna.durable.stores.postgres.faults import ERRORS, explain
from aeterna.durable.stores.postgres.place import Place
from aeterna.durable.stores.postgres.rows import all_to_db, from_db, maybe_to_db
from aeterna.durable.stores.postgres.statements import load_statements

_ROWS_AT_ONCE = 32
_TIMEOUT_S = 3_600.0
_TEXTS = frozenset({"namespace", "id", "workflow", "version", "parent", "note", "queue", "share"})

_ORPHANS = {
    "lost_runs": "its namespace, number {2}, is not there",
    "lost_owners": "session {2} owns it, and has ended or is not there",
    "miscounted_messages": "its row says that {2} signals and {3} orders are unread, its inbox holds {4} and {5}",
    "lost_messages": "message {1} is for run number {0}, which is not there",
    "lost_sessions": "session {0} is of namespace number {1}, which is not there",
    "lost_shares": "share {2!r} of queue {1!r} is of namespace number {0}, which is not there",
}
"""``statement -> what its rows are``. Those of the first three are about runs: the namespace's name, the id, and more.

Events without a run are none of it: retention leaves them to lie until their partition is dropped."""
_ABOUT_RUNS = ("lost_runs", "lost_owners", "miscounted_messages")


class PostgresLedger:
    """See `Ledger`; on a connection with an open transaction."""

    def __init__(self, place: Place, connection: asyncpg.Connection[Any]) -> None:
        self.description = place.description
        self._place = place
        self._connection = connection
        self._statements = load_statements(place.schema)

    async def count(self, wanted: Wanted) -> int:
        """See `Ledger.count`."""
        async for (count,) in self._rows("ledger_count", *_values(wanted)):
            return int(count)
        return 0

    async def entries(self, wanted: Wanted) -> AsyncIterator[tuple[RunRecord, SegmentRecord | None]]:
        """See `Ledger.entries`."""
        async for row in self._rows("ledger_entries", *_values(wanted)):
            yield _run(row), None if row["seq"] is None else SegmentRecord(row["seq"], row["events"], row["body"])

    async def messages(self) -> AsyncIterator[MessageRecord]:
        """See `Ledger.messages`."""
        async for namespace, run_id, number, payload in self._rows("ledger_messages"):
            yield MessageRecord(from_db(namespace), from_db(run_id), number, payload)

    async def storage_findings(self, *, is_quick: bool) -> AsyncIterator[Finding]:
        """See `Ledger.storage_findings`; PostgreSQL looks after its own files."""
        for statement, problem in _ORPHANS.items():
            async for row in self._rows(statement):
                values = [from_db(value) if isinstance(value, str) else value for value in row]
                place = values[:2] if statement in _ABOUT_RUNS else ()
                yield Finding(problem.format(*values), *place)

    async def _rows(self, name: str, *values: Any) -> AsyncIterator[Any]:
        # In portions: the driver would otherwise keep the whole result.
        try:
            cursor = self._connection.cursor(
                self._statements[name], *values, prefetch=_ROWS_AT_ONCE, timeout=_TIMEOUT_S
            )
            async for row in cursor:
                yield row
        except ERRORS as error:
            raise explain(error, self._place, "read") from error


@asynccontextmanager
async def open_ledger(connections: Connections) -> AsyncIterator[PostgresLedger]:
    """The store as it is now. What is committed meanwhile is not seen, and what is deleted meanwhile is kept for it."""
    place = connections.place
    try:
        connection = await connections.connect()
    except ERRORS as error:
        raise explain(error, place, "open") from error
    try:
        await _begin(connection, place)
        yield PostgresLedger(place, connection)
    finally:
        await close_connection(connection)


async def _begin(connection: asyncpg.Connection[Any], place: Place) -> None:
    try:
        await connection.transaction(isolation="repeatable_read", readonly=True).start()
        if not place.is_distributed:
            # Rows in the order of the keys at once, instead of all of them sorted first.
            await connection.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    except ERRORS as error:
        raise explain(error, place, "open") from error


def _values(wanted: Wanted) -> tuple[Any, ...]:
    return (
        maybe_to_db(wanted.namespace),
        maybe_to_db(wanted.workflow),
        all_to_db(wanted.states or None),
        all_to_db(wanted.run_ids or None),
    )


def _run(row: Any) -> RunRecord:
    values: dict[str, Any] = {name: row[name] for name in RunRecord._fields}
    for name in _TEXTS:
        values[name] = None if values[name] is None else from_db(values[name])
    values["requires"] = tuple(map(from_db, values["requires"]))
    return RunRecord(**values)
