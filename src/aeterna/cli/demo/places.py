"""The files of one demo, all in one directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aeterna.kernel.errors import ConfigurationError

RUN_ID = "demo"
"""The workflow id of the one run in a demo's store."""

_MARKER = "executions.jsonl"
_OWN = ("run.db*", "passages.db*", "answer.json", "timeline.svg", "worker.log", ".demo.lock", _MARKER)


@dataclass(frozen=True, slots=True)
class Places:
    """Names the files of the demo in ``directory``."""

    directory: Path

    @property
    def store(self) -> Path:
        """Aeterna's store: the run and its history."""
        return self.directory / "run.db"

    @property
    def index(self) -> Path:
        """The full-text index that the steps build."""
        return self.directory / "passages.db"

    @property
    def executions(self) -> Path:
        """The execution log."""
        return self.directory / _MARKER

    @property
    def answer(self) -> Path:
        """The run's result, as the worker received it."""
        return self.directory / "answer.json"

    @property
    def timeline(self) -> Path:
        """The picture."""
        return self.directory / "timeline.svg"

    @property
    def worker_log(self) -> Path:
        """What the worker processes wrote to standard output and standard error."""
        return self.directory / "worker.log"


def beside_earlier(directory: Path) -> Path:
    """``directory`` if it is free, else the first free one of ``directory-2``, ``directory-3``, ..."""
    candidate, number = directory, 2
    while candidate.is_dir() and any(candidate.iterdir()):
        candidate, number = directory.with_name(f"{directory.name}-{number}"), number + 1
    return candidate


@contextmanager
def prepared(directory: Path) -> Iterator[tuple[Places, int]]:
    """Make ``directory`` ready for a fresh demo: create it, or remove an earlier demo's files from it.

    Gives the places and a descriptor that locks the directory while it, or a copy of it in a worker, is open. Raises
    `ConfigurationError` for a directory that holds something else, or in which a demo is running.
    """
    try:
        _require_usable(directory)
        lock = os.open(directory / ".demo.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigurationError(f"--dir {directory}: cannot be used: {error.strerror}; name another one") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"--dir {directory}: a demo is running there{_holders(lock)}; wait for it, end it, or name another one"
            ) from None
        note_holders(lock, os.getpid())
        for own in (path for pattern in _OWN for path in directory.glob(pattern) if path.name != ".demo.lock"):
            own.unlink()
        (directory / _MARKER).touch()
        yield Places(directory), lock
    finally:
        os.close(lock)


def note_holders(lock: int, *pids: int) -> None:
    """Write down who holds the directory: the demo itself, and its worker, which outlives it if it is killed."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, " ".join(map(str, pids)).encode("ascii"), 0)


def _holders(lock: int) -> str:
    """Those of the holders that still live, in words."""
    alive = [pid for pid in os.pread(lock, 100, 0).decode("ascii", "replace").split() if _is_alive(pid)]
    return f" (process {' and '.join(alive)})" if alive else ""


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _require_usable(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    others = [entry.name for entry in directory.iterdir()]
    if others and _MARKER not in others and others != [".demo.lock"]:
        raise ConfigurationError(
            f"--dir {directory}: holds files that are not a demo's ({others[0]}, ...); name an empty one"
        )
