"""The directory of the store: can it be written, on which file system, how much room, how slow is a sync."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aeterna.cli.diagnosis import Finding, Verdict
from aeterna.cli.output import bytes_text, duration
from aeterna.kernel.clock import SystemClock

ROOM_BYTES_WARN = 1_000_000_000
ROOM_BYTES_FAIL = 50_000_000
SYNC_US_WARN = 20_000
SYNC_COUNT = 15
NETWORKED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "virtiofs"}
)
FLEETING = frozenset({"tmpfs", "ramfs"})


def findings(directory: Path) -> Iterator[Finding]:
    """What the directory, or the nearest one above it that exists, has to offer."""
    directory = directory.resolve()
    found = existing(directory)
    obstacle = next((path for path in (directory, *directory.parents) if path.exists() and not path.is_dir()), None)
    if obstacle is not None:
        yield Finding(Verdict.FAIL, "directory", f"{obstacle} is a file, not a directory", "Name another store.")
        return
    writable = try_writing(found)
    yield writable
    yield file_system(_file_system_of(found, Path("/proc/mounts")))
    usage = os.statvfs(found)
    yield room(usage.f_bavail * usage.f_frsize)
    if writable.verdict is Verdict.OK:
        yield sync_time(measure_sync_us(found))


def existing(directory: Path) -> Path:
    """The directory, or the nearest one above it that exists."""
    while not directory.is_dir():
        directory = directory.parent
    return directory


def try_writing(directory: Path) -> Finding:
    """Whether a file can be made there."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".aeterna-doctor-"):
            return Finding(Verdict.OK, "directory", f"{directory} can be written")
    except OSError as error:
        advice = f"This user must be able to write {directory}: change its owner or mode, or name another store."
        return Finding(Verdict.FAIL, "directory", f"{directory} cannot be written: {error.strerror}", advice)


def file_system(kind: str) -> Finding:
    """Whether SQLite's locks and syncs can be relied on there."""
    if kind in NETWORKED:
        advice = "A write-ahead log needs a local disk: locks and memory maps fail over a network. Move the store."
        return Finding(Verdict.FAIL, "file system", kind, advice)
    if kind in FLEETING:
        return Finding(
            Verdict.WARN, "file system", kind, "It lives in memory: the store is gone after a restart of the machine."
        )
    return Finding(Verdict.OK, "file system", kind or "unknown")


def room(free_bytes: int) -> Finding:
    """Whether the disk has room."""
    text = f"{bytes_text(free_bytes)} free"
    if free_bytes < ROOM_BYTES_FAIL:
        return Finding(
            Verdict.FAIL, "disk", text, "Free space now: runs stop when the disk is full, and nothing is lost."
        )
    if free_bytes < ROOM_BYTES_WARN:
        return Finding(
            Verdict.WARN, "disk", text, "Delete old runs (aeterna workflow delete --older-than 7d) or free space."
        )
    return Finding(Verdict.OK, "disk", text)


def sync_time(median_us: int) -> Finding:
    """Whether a commit is quick."""
    text = f"{duration(median_us)} (median of {SYNC_COUNT})"
    if median_us > SYNC_US_WARN:
        advice = "Each step of a lone run waits for one sync: a faster disk, or persistence='snapshot', helps."
        return Finding(Verdict.WARN, "fsync", text, advice)
    return Finding(Verdict.OK, "fsync", text)


def measure_sync_us(directory: Path) -> int:
    """How long it takes to append 4 kB to a file there and sync it, in microseconds."""
    clock = SystemClock()
    times = []
    with tempfile.TemporaryFile(dir=directory, prefix=".aeterna-doctor-") as file:
        for _ in range(SYNC_COUNT):
            started_us = clock.monotonic_us()
            os.write(file.fileno(), b"\0" * 4096)
            os.fsync(file.fileno())
            times.append(clock.monotonic_us() - started_us)
    return round(statistics.median(times))


def _file_system_of(directory: Path, mounts: Path) -> str:
    """The type of the file system, as Linux names it; empty elsewhere."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if (directory == Path(point) or Path(point) in directory.parents) and len(point) >= len(best):
            best, kind = point, found
    return kind
