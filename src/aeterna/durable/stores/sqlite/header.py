"""What the first bytes of a file tell: whether a store may be there, before anything is opened, locked or made."""

from __future__ import annotations

import stat
from pathlib import Path

import apsw

from aeterna.durable.stores.sqlite.faults import explaining, foreign

APPLICATION_ID = 0x4165746E
"""``Aetn``: what tells our files from other SQLite files."""

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_PAGES_AT, _APPLICATION_AT = 28, 68
"""Where SQLite's file format has the number of pages and the application's id, four bytes each, big-endian."""


def refuse_foreign(path: Path) -> bool:
    """Raise `StoreCorruptError` if something that no store has written is at ``path``; else, whether a file is there.

    Only what is certain is refused: a file whose log may say something else is left to SQLite."""
    with explaining(path, "open"):
        if not _is_there(path):
            return False
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise foreign(path, "a directory")
        if not stat.S_ISREG(mode):
            raise foreign(path, "no regular file")
        head = _read_head(path, min(path.stat().st_size, _HEADER_BYTES))
    if head and not _MAGIC.startswith(head[: len(_MAGIC)]):
        raise foreign(path, "a file of another kind (if a store was there, restore a backup)")
    if len(head) == _HEADER_BYTES and not path.with_name(f"{path.name}-wal").exists():
        application = int.from_bytes(head[_APPLICATION_AT : _APPLICATION_AT + 4], "big")
        pages = int.from_bytes(head[_PAGES_AT : _PAGES_AT + 4], "big")
        # A store whose first commit never came has no id yet, and one page with nothing on it.
        if application != APPLICATION_ID and (application or pages > 1):
            raise foreign(path, "another program's SQLite database")
    return True


def _read_head(path: Path, size: int) -> bytes:
    """The first bytes, read by SQLite: closing the file in any other way would drop this process's own locks on it."""
    file = apsw.VFSFile("", str(path), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0])
    try:
        return file.xRead(size, 0)
    finally:
        file.xClose()


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
