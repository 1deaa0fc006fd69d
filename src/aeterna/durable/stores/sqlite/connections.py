"""Opening SQLite files: which settings, and which files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import apsw

from aeterna.durable.stores.sqlite.faults import corrupt, explaining, foreign
from aeterna.durable.stores.sqlite.header import APPLICATION_ID, refuse_foreign
from aeterna.durable.stores.sqlite.statements import load_migrations
from aeterna.kernel.errors import StoreError, StoreReadOnlyError, StoreTooNewError

Synchronous = Literal["full", "normal"]

_SQLITE_VERSION_MIN = (3, 51, 3)
_BUSY_TIMEOUT_MS = 250
_CHECKPOINT_PAGES = 1_000
_WAL_BYTES_KEPT_MAX = 64 * 1024 * 1024


def open_writer(path: Path, synchronous: Synchronous) -> apsw.Connection:
    """The connection that writes and checkpoints; creates the file, migrates it if it is older.

    A file that is not ours, or is newer, is refused before anything in it changes."""
    _require_safe_sqlite()
    refuse_foreign(path)
    db = _connect(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    try:
        with explaining(path, "open", db):
            _require_writable(db, path)
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            version = _identify(db, path)
            _configure_writer(db, path, synchronous)
            _migrate(db, version)
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: Path) -> apsw.Connection:
    """A connection that can change nothing; never creates the file, and neither blocks nor is blocked by the writer."""
    db, version = _look_into(path)
    newest = load_migrations()[-1][0]
    if version == newest:
        return db
    db.close()
    if not version:
        raise StoreError(
            f"there is no store at {path} yet: the file is empty. It becomes one when a program opens it to write"
        )
    raise StoreError(
        f"the store at {path} has version {version}, older than {newest}: start its engine once to migrate it, or run "
        f"`aeterna db migrate`"
    )


def stored_version(path: Path) -> int:
    """The version of the store at ``path``, also an older one; 0 for an empty file. Raises as `open_reader`."""
    db, version = _look_into(path)
    db.close()
    return version


def _look_into(path: Path) -> tuple[apsw.Connection, int]:
    _require_safe_sqlite()
    if not refuse_foreign(path):
        raise StoreError(f"there is no store at {path}: check the path, or start the program that writes it once")
    db = _connect(path, apsw.SQLITE_OPEN_READONLY)
    try:
        with explaining(path, "open", db):
            db.execute("PRAGMA query_only = ON")
            return db, _identify(db, path)
    except BaseException:
        db.close()
        raise


def _connect(path: Path, flags: int) -> apsw.Connection:
    with explaining(path, "open"):
        db = apsw.Connection(str(path), flags=flags)
        db.set_busy_timeout(_BUSY_TIMEOUT_MS)
        return db


def _require_safe_sqlite() -> None:
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")[:3]) < _SQLITE_VERSION_MIN:
        wanted = ".".join(map(str, _SQLITE_VERSION_MIN))
        raise StoreError(f"SQLite {found} can corrupt a WAL file; {wanted} or newer is needed: pip install -U apsw")


def _require_writable(db: apsw.Connection, path: Path) -> None:
    if db.readonly("main"):
        raise StoreReadOnlyError(
            f"cannot open the store at {path} for writing: the file is read-only for this user. Change its mode"
        )


def _identify(db: apsw.Connection, path: Path) -> int:
    application = _number(db, "PRAGMA application_id")
    version = _number(db, "PRAGMA user_version")
    if application != APPLICATION_ID:
        if application or version or _number(db, "SELECT count(*) FROM sqlite_schema"):
            raise foreign(path, "another program's SQLite database")
        return 0
    newest = load_migrations()[-1][0]
    if version > newest:
        raise StoreTooNewError(
            f"the store at {path} has version {version}, newer than {newest}, the newest this release knows: "
            f"upgrade aeterna, or use the backup made before the upgrade. It was not changed"
        )
    if not version:
        raise corrupt(path, "open", "it is marked as a store but has no version")
    return version


def _number(db: apsw.Connection, query: str) -> int:
    value = db.execute(query).get
    assert isinstance(value, int)
    return value


def _configure_writer(db: apsw.Connection, path: Path, synchronous: Synchronous) -> None:
    mode = db.execute("PRAGMA journal_mode = WAL").get
    if mode != "wal":
        raise StoreError(
            f"the store at {path} cannot use a write-ahead log (its journal mode is {mode!r}): use a local disk"
        )
    db.execute(
        f"PRAGMA synchronous = {synchronous};"
        f"PRAGMA foreign_keys = OFF;"
        f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES};"
        f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT_MAX}"
    )


def _migrate(db: apsw.Connection, version: int) -> None:
    for number, script in load_migrations():
        if number > version:
            with db:
                db.execute(script)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}")
