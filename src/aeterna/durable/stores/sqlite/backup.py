"""A consistent copy of a store, taken while its engine writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw

from aeterna.durable.stores.sqlite.connections import open_reader
from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.side_thread import SideThread
from aeterna.kernel.errors import StoreCorruptError, UsageError

_PAGES_PER_STEP = 512

Progress = Callable[[int, int], None]
"""Told after each step: pages copied, pages in all."""


class _Copy:
    """One copy in progress: a read transaction on the source holds the snapshot that the pages come from, so that
    commits made meanwhile neither restart nor tear the copy. They stay in the WAL until it is done, which grows for
    as long."""

    def __init__(self, source_path: Path, target: Path) -> None:
        self._target = target
        self._source = open_reader(source_path)
        try:
            with explaining(source_path, "back up", self._source):
                self._source.execute("BEGIN; SELECT count(*) FROM sqlite_schema")
            with explaining(target, "back up to"):
                self._db = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
                self._db.execute("PRAGMA synchronous = FULL")
                self._backup = self._db.backup("main", self._source, "main")
        except BaseException:
            self._source.close()
            raise

    def step(self) -> bool:
        with explaining(self._target, "back up to", self._db):
            return self._backup.step(_PAGES_PER_STEP)

    def pages(self) -> tuple[int, int]:
        return self._backup.page_count - self._backup.remaining, self._backup.page_count

    def finish(self) -> None:
        with explaining(self._target, "back up to", self._db):
            self._backup.finish()
            self._db.close()
            _sync(self._target)
            _sync(self._target.parent)

    def abandon(self) -> None:
        self._backup.close(force=True)
        self._db.close(force=True)
        self._source.close(force=True)


async def back_up(source: Path, target: Path, thread: SideThread, progress: Progress | None = None) -> None:
    """Copy the store at ``source``, as it is now, to the new file ``target``, in steps on ``thread``; synced when it
    returns.

    Raises `UsageError` when ``target`` exists, and `StoreCorruptError` when the copy is damaged, which it is where the
    store is. A failed, damaged or cancelled copy is removed again."""
    _reserve(target)
    try:
        copy = await thread.run(lambda: _Copy(source, target))
        try:
            while not await thread.run(copy.step):
                if progress is not None:
                    progress(*copy.pages())
            await thread.run(copy.finish)
            await thread.run(lambda: _verify(source, target))
        finally:
            copy.abandon()
    except BaseException:
        for leftover in (target, target.with_name(target.name + "-journal")):
            leftover.unlink(missing_ok=True)
        raise


def _verify(source: Path, target: Path) -> None:
    try:
        db = open_reader(target)
        try:
            with explaining(target, "read back", db):
                found = " ".join(str(db.execute("PRAGMA quick_check(1)").get).split())
        finally:
            db.close()
    except StoreCorruptError as error:
        found = str(error)
    if found != "ok":
        raise StoreCorruptError(
            f"the backup of {source} is damaged, as the store itself is: {found}. No copy was kept. Keep the store, "
            f"see with `aeterna db check` how far the damage goes, and restore an earlier backup"
        )


def _reserve(target: Path) -> None:
    with explaining(target, "back up to"):
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            raise UsageError(
                f"cannot back up to {target}: it exists already, and a backup never overwrites; give a new name"
            ) from None
        except FileNotFoundError:
            raise UsageError(f"cannot back up to {target}: its directory does not exist; create it first") from None


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
