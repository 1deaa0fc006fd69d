"""One engine per file: a lock that the kernel gives back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.header import refuse_foreign
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import StoreLockedError


class FileLock:
    """The lock of one store: ``flock`` on ``<path>.lock``, whose content tells people who holds it and since when.

    The file stays after release: removing it would let two processes lock two files of the same name.

    A forked child does not hold it: it would keep the lock of a parent that was killed for as long as it lives."""

    def __init__(self, path: Path) -> None:
        self.path = Path(f"{path}.lock")
        self._store_path = path
        self._fd: int | None = None

    def acquire(self, clock: Clock) -> None:
        """Take the lock or raise `StoreLockedError` at once; also when this process holds it through another object.

        Raises `StoreCorruptError`, and leaves nothing behind, if what is there is no store."""
        refuse_foreign(self._store_path)
        with explaining(self._store_path, "lock"):
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with explaining(self._store_path, "lock"):
                self._lock(fd)
                since = datetime.fromtimestamp(clock.now_us() / 1e6, UTC).isoformat(timespec="seconds")
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"pid {os.getpid()} since {since}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        _held.add(self)

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lock; False in a child forked by the process that does."""
        return self._fd is not None

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            _held.discard(self)
            os.close(fd)

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode("utf-8", "replace").strip() or "unknown process"
            raise StoreLockedError(
                f"the store at {self._store_path} is in use by another engine ({holder}; lock file {self.path}). "
                f"One engine at a time: stop that one, or give this one its own store. Reading commands work meanwhile."
            ) from None


_held: set[FileLock] = set()


def _let_go_in_child() -> None:
    # Closing the child's copy is no unlocking: the lock goes with the last copy, and the parent has its own.
    for lock in tuple(_held):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
