"""What a doctor asks about a store without opening it: libraries, version, who holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import apsw

from aeterna.durable.stores.sqlite.connections import open_reader
from aeterna.durable.stores.sqlite.faults import explaining


def library_versions() -> tuple[str, str]:
    """The versions of apsw and of the SQLite inside it."""
    return apsw.apsw_version(), apsw.sqlite_lib_version()


def store_version(path: Path) -> int:
    """The schema version of the store at ``path``; raises `StoreError` if it cannot be opened by this release."""
    db = open_reader(path)
    try:
        with explaining(path, "read", db):
            value = db.execute("PRAGMA user_version").get
    finally:
        db.close()
    assert isinstance(value, int)
    return value


def lock_holder(path: Path) -> str | None:
    """Who has the store at ``path`` open, in its own words ("pid 7 since ..."), or None.

    Tries the lock for an instant, shared: an engine that starts in that instant is refused.
    """
    try:
        fd = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 200, 0).decode("utf-8", "replace").strip() or "unknown process"
    else:
        return None
    finally:
        os.close(fd)
