"""A SQLite store read from beginning to end; see `stores.ledger`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import apsw

from aeterna.durable.stores.ledger import Finding, MessageRecord, RunRecord, SegmentRecord, Wanted
from aeterna.durable.stores.sqlite.connections import open_reader
from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.statements import QUERIES

_RUN_FIELDS = len(RunRecord._fields)
_REQUIRES = RunRecord._fields.index("requires")

_ORPHANS = {
    "lost_runs": "its namespace, number {2}, is not there",
    "lost_owners": "session {2} owns it, and has ended or is not there",
    "lost_segments": "events from number {1} on belong to run number {0}, which is not there",
    "lost_messages": "message {1} is for run number {0}, which is not there",
    "lost_message_ids": "the id {1!r} of a message is for run number {0}, which is not there",
    "lost_sessions": "session {0} is of namespace number {1}, which is not there",
    "lost_shares": "share {2!r} of queue {1!r} is of namespace number {0}, which is not there",
}
"""``statement -> what its rows are``. Those of the first two are about runs: the namespace's name, the id, and more."""
_ABOUT_RUNS = ("lost_runs", "lost_owners")


class SqliteLedger:
    """See `Ledger`."""

    def __init__(self, path: Path, db: apsw.Connection) -> None:
        self.path = path
        self.description = f"sqlite at {path}"
        self._db = db

    async def count(self, wanted: Wanted) -> int:
        """See `Ledger.count`."""
        with self._explaining():
            count: int = self._db.execute(QUERIES["ledger_count"], _values(wanted)).get
            return count

    async def entries(self, wanted: Wanted) -> AsyncIterator[tuple[RunRecord, SegmentRecord | None]]:
        """See `Ledger.entries`."""
        for entry in self.walk(wanted):
            yield entry

    async def messages(self) -> AsyncIterator[MessageRecord]:
        """See `Ledger.messages`."""
        with self._explaining():
            for row in self._db.execute(QUERIES["ledger_messages"]):
                yield MessageRecord(*row)

    async def storage_findings(self, *, is_quick: bool) -> AsyncIterator[Finding]:
        """See `Ledger.storage_findings`."""
        for finding in chain(self.damage(is_quick=is_quick), self.orphans()):
            yield finding

    def walk(self, wanted: Wanted) -> Iterator[tuple[RunRecord, SegmentRecord | None]]:
        """As `entries`, at once."""
        with self._explaining():
            for row in self._db.execute(QUERIES["ledger_entries"], _values(wanted)):
                yield _run(row[:_RUN_FIELDS]), _segment(*row[_RUN_FIELDS:])

    def damage(self, *, is_quick: bool) -> Iterator[Finding]:
        """What SQLite says of the pages of the file."""
        with self._explaining():
            for (line,) in self._db.execute("PRAGMA quick_check" if is_quick else "PRAGMA integrity_check"):
                if line != "ok":
                    yield Finding(f"sqlite: {line}")

    def orphans(self) -> Iterator[Finding]:
        """Rows that belong to nothing."""
        with self._explaining():
            for statement, problem in _ORPHANS.items():
                for row in self._db.execute(QUERIES[statement]):
                    place = row[:2] if statement in _ABOUT_RUNS else ()
                    yield Finding(problem.format(*row), *place)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        with explaining(self.path, "read", self._db):
            yield


@contextmanager
def open_ledger(path: Path) -> Iterator[SqliteLedger]:
    """The store at ``path`` as it is now: what is committed meanwhile is not seen, and stays in the write-ahead log,
    which grows for as long."""
    db = open_reader(path)
    try:
        with explaining(path, "read", db):
            db.execute("BEGIN; SELECT count(*) FROM sqlite_schema")
        yield SqliteLedger(path, db)
    finally:
        db.close(force=True)


def _values(wanted: Wanted) -> tuple[str | None, ...]:
    states, run_ids = (json.dumps(each) if each else None for each in (wanted.states, wanted.run_ids))
    return wanted.namespace, wanted.workflow, states, run_ids


def _run(row: tuple[Any, ...]) -> RunRecord:
    requires = tuple(json.loads(row[_REQUIRES])) if row[_REQUIRES] else ()
    return RunRecord._make((*row[:_REQUIRES], requires, *row[_REQUIRES + 1 :]))


def _segment(first: int | None, events: int, body: bytes) -> SegmentRecord | None:
    return None if first is None else SegmentRecord(first, events, body)
