"""The one connection that writes, and what every change of the file has in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.pace import CommitPace
from aeterna.durable.stores.sqlite.statements import QUERIES
from aeterna.kernel.clock import Clock

T = TypeVar("T")

Values = tuple[Any, ...]


class Transactions:
    """Carries out statements on the connection that writes the file at ``path``; synchronous, one caller at a time.

    ``pace`` learns how long each commit takes. ``next_key``: the key of the next run. Keys are given here and not by
    SQLite, which would give the key of a deleted newest run a second time: an append that still names the old run must
    find nothing. After a restart nobody is left who could name it.
    """

    def __init__(self, db: apsw.Connection, path: Path, clock: Clock, pace: CommitPace) -> None:
        # Only `close` may checkpoint and remove the write-ahead log. A forked child has the connection too, and drops
        # it when it ends; it would take its parent's log for the one that lies there by then, and remove that.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.db = db
        self.path = path
        self._clock = clock
        self._pace = pace
        self.next_key: int = self.run("open", lambda: self.rows("last_key")[0][0]) + 1

    def close(self) -> None:
        """Close the connection, which moves the WAL into the file."""
        with explaining(self.path, "close"):
            self.db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
            self.db.close()

    def run(self, action: str, work: Callable[[], T]) -> T:
        """``work`` as one transaction; ``action`` says in an error what could not be done."""
        with explaining(self.path, action, self.db):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                started_us = self._clock.monotonic_us()
                self.db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        self._pace.record(self._clock.monotonic_us() - started_us)
        return result

    def rows(self, name: str, *values: object) -> list[Values]:
        """Carry out a statement of ``queries.sql``; all rows at once."""
        rows: list[Values] = self.db.execute(QUERIES[name], values).fetchall()
        return rows

    def look(self, action: str, name: str, *values: object) -> list[Values]:
        """As `rows`, outside a transaction."""
        with explaining(self.path, action, self.db):
            return self.rows(name, *values)

    def _roll_back(self) -> None:
        if not self.db.get_autocommit():  # Some errors (a full disk) have rolled back already.
            self.db.execute("ROLLBACK")
