"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import apsw

FSYNC_WRITES = 200


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and the libraries; ``fsync_p50_us`` is one 4 KiB write with fdatasync, in the stores' folder."""

    processor: str
    cores: int
    system: str
    python: str
    aeterna: str
    dbos: str
    sqlite_of_aeterna: str
    sqlite_of_dbos: str
    file_system: str
    fsync_p50_us: float
    load_before: float


def describe(folder: Path) -> Machine:
    """Look around; ``folder`` is where the stores will be."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        system=platform.platform(),
        python=platform.python_version(),
        aeterna=version_of("aeterna") or "not installed",
        dbos=version_of("dbos") or "not installed",
        sqlite_of_aeterna=apsw.sqlite_lib_version(),
        sqlite_of_dbos=sqlite3.sqlite_version,
        file_system=_file_system(folder),
        fsync_p50_us=_fsync_p50_us(folder),
        load_before=os.getloadavg()[0],
    )


def version_of(package: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the file system that holds the folder: on tmpfs a sync costs nothing, and the figures say little."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    return max(holding, key=lambda mount: len(mount[1]))[2]


def _fsync_p50_us(folder: Path) -> float:
    path = folder / "fsync.probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    times_us = []
    for _ in range(FSYNC_WRITES):
        started = time.perf_counter()
        os.pwrite(descriptor, b"x" * 4096, 0)
        os.fdatasync(descriptor)
        times_us.append((time.perf_counter() - started) * 1e6)
    os.close(descriptor)
    path.unlink()
    return sorted(times_us)[FSYNC_WRITES // 2]
