"""How much room a file takes, and giving back what nobody needs."""

from __future__ import annotations

from pathlib import Path

import apsw

from aeterna.durable.stores.sqlite.faults import explaining


def shrink(path: Path, db: apsw.Connection) -> None:
    """Write the file anew without its free pages, on the connection that writes it."""
    with explaining(path, "vacuum", db):
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def size_of(path: Path) -> int:
    """What the store takes on the disk, its log included."""
    with explaining(path, "look at"):
        return sum(each.stat().st_size for each in (path, path.with_name(f"{path.name}-wal")) if each.exists())
