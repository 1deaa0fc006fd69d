"""What SQLite and the operating system report, as errors that say what to do.

The one place that knows both vocabularies: nothing of ``apsw`` leaves the package ``sqlite`` but through here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from aeterna.kernel.errors import StoreCorruptError, StoreError, StoreFullError, StoreLockedError, StoreReadOnlyError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.EEXIST})
_IO_ERRORS = (apsw.IOError, apsw.CantOpenError)
_SAFE = "What it acknowledged is safe."
_SAFE_UNLESS_DAMAGED = "What it acknowledged is safe in every part that is not damaged."


@contextmanager
def explaining(path: Path, action: str, db: apsw.Connection | None = None) -> Iterator[None]:
    """Turn errors of SQLite and of the operating system, raised inside, into a `StoreError` about ``path`` and
    ``action``.

    ``db`` is the connection at work, which knows the operating system's error number."""
    try:
        yield
    except apsw.Error as error:
        raise _from_sqlite(error, path, action, 0 if db is None else _system_errno(db)) from error
    except UnicodeDecodeError as error:
        raise corrupt(path, action, f"a text in it is not UTF-8: {error}") from error
    except OSError as error:
        raise _from_system(error, path, action) from error


def corrupt(path: Path, action: str, reason: str) -> StoreCorruptError:
    """The error for contents that cannot be what this store wrote."""
    return StoreCorruptError(
        f"cannot {action} the store at {path}: {reason}. The file is damaged: keep it, run `aeterna doctor` to see "
        f"how far, and restore a backup (`aeterna db backup` makes them). {_SAFE_UNLESS_DAMAGED}"
    )


def foreign(path: Path, what_it_is: str) -> StoreCorruptError:
    """The error for something that is there and that no store has written."""
    return StoreCorruptError(f"{path} is not an Aeterna store but {what_it_is}: give another path. It was not changed")


def _safe(path: Path) -> str:
    """The reassurance, where there is a store that may have acknowledged something."""
    try:
        return f" {_SAFE}" if path.stat().st_size else ""
    except OSError:
        return ""


def _system_errno(db: apsw.Connection) -> int:
    try:
        return db.system_errno
    except apsw.ConnectionClosedError:
        return 0


def _from_sqlite(error: apsw.Error, path: Path, action: str, number: int) -> StoreError:
    head = f"cannot {action} the store at {path}: {error}"
    if isinstance(error, apsw.FullError) or (isinstance(error, _IO_ERRORS) and number in _FULL):
        return _full(head, path)
    if isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError | apsw.CantOpenError | apsw.AuthError):
        return _read_only(head, path)
    if isinstance(error, apsw.IOError) and number in _DENIED:
        return _read_only(head, path)
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return corrupt(path, action, str(error))
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreLockedError(f"{head}. Another program holds a lock on the file: end it and try again.{_safe(path)}")
    reason = f" ({errno.errorcode.get(number, number)})" if number and isinstance(error, apsw.IOError) else ""
    return StoreError(f"{head}{reason}. Look at the disk and the system's log, then open the store again.{_safe(path)}")


def _from_system(error: OSError, path: Path, action: str) -> StoreError:
    head = f"cannot {action} the store at {path}: {error}"
    if error.errno in _FULL:
        return _full(head, path)
    if error.errno in _DENIED:
        return _read_only(head, path)
    if error.errno in _NO_DIRECTORY:
        return StoreError(f"{head}. What should be its directory is a file: give another path.")
    if error.errno == errno.ENOENT:
        return StoreReadOnlyError(f"{head}. The system lets nobody make a file there: give another path.")
    return StoreError(f"{head}.{_safe(path)}")


def _full(head: str, path: Path) -> StoreFullError:
    return StoreFullError(
        f"{head}. The disk or the quota is full: free space, or delete old runs, and go on.{_safe(path)}"
    )


def _read_only(head: str, path: Path) -> StoreReadOnlyError:
    return StoreReadOnlyError(
        f"{head}. This user must be able to write the file and its directory: change that.{_safe(path)}"
    )
