"""L0, L1 and L2: when an event of the one log is committed, and when the run may go on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a ``kill -9`` may cost; the values are the names of ``--persistence``."""

    MEMORY = "memory"
    SNAPSHOT = "snapshot"
    LOG = "state-action-log"


@dataclass(frozen=True, slots=True)
class Durability:
    """The policy of one engine.

    L2 (``LOG``): an event is committed at once, and before the next step starts. L1 (``SNAPSHOT``): the next step
    starts without waiting, and what has not been committed yet is committed every ``snapshot_steps`` steps, or
    ``snapshot_ms`` after the first of them, whichever comes first, and before each wait, before a child starts, and
    at the end. L0 (``MEMORY``): as L2, into a store that keeps nothing."""

    level: Level = Level.LOG
    snapshot_steps: int = 100
    snapshot_ms: int = 1000
