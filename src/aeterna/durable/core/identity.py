"""Who is who inside a run, and the values that follow from it.

A step, timer or child is identified by *kind, task path, name, occurrence*. The path is the place of its task in the
tree of tasks the workflow created (``0`` is the workflow itself, ``0.2`` the second task it created, counted from 1),
so that branches that race each other can never swap results, however they are scheduled."""

from __future__ import annotations

import hashlib
import uuid
from enum import StrEnum
from typing import NamedTuple

MAIN_PATH = "0"


class Kind(StrEnum):
    """What a workflow can wait for."""

    STEP = "step"
    TIMER = "timer"
    CHILD = "child"
    SIGNAL = "signal"


class Key(NamedTuple):
    """The identity of one wait inside its run."""

    kind: Kind
    path: str
    name: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name!r} #{self.occurrence} of task {self.path}"


def child_run_id(run_id: str, key: Key) -> str:
    """The id of a child run: the same on every replay, so that asking again finds the same child."""
    return f"{run_id}/{key.path}:{key.name}:{key.occurrence}"


def derive_uuid(run_id: str, path: str, count: int) -> uuid.UUID:
    """The ``count``-th UUID of a task: random to the world, the same on every replay (RFC 9562, version 8)."""
    value = bytearray(_digest("uuid", run_id, path, count)[:16])
    value[6] = value[6] & 0x0F | 0x80
    value[8] = value[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(value))


def derive_seed(run_id: str, path: str) -> bytes:
    """The seed of a task's random generator: the same on every replay, so not for secrets."""
    return _digest("random", run_id, path, 0)


def task_hash_base(run_id: str) -> int:
    """Where the hashes of a run's tasks start: consecutive from here, so that sets of tasks iterate alike on every
    replay, and far from those of other runs."""
    return int.from_bytes(_digest("hash", run_id, MAIN_PATH, 0)[:7], "big")


def _digest(use: str, run_id: str, path: str, count: int) -> bytes:
    return hashlib.sha256(f"{use}\0{run_id}\0{path}\0{count}".encode()).digest()
