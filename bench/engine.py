"""What a measured system must offer. The workloads see this and nothing else of it: the same code measures both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Job:
    """One run to make: which workflow, with which arguments, and its id (None = the engine chooses one).

    Workflows: ``steps(count)`` runs that many no-op steps in a row; ``fan_out(count)`` runs them in parallel;
    ``slow_steps(run, count)`` runs 100 ms steps in a row; ``long(count, gate_index)`` runs counted steps in a row.
    """

    workflow: str
    args: tuple[object, ...]
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Durability:
    """How the engine's own live connection writes, asked with PRAGMA. ``synchronous`` in words, e.g. FULL."""

    journal_mode: str
    synchronous: str


class Engine(Protocol):
    """A durable engine inside this process, on a store file of its own."""

    async def open(self, store: Path, options: EngineOptions) -> None:
        """Open or create the store and go on with every unfinished run found there."""
        ...

    async def close(self) -> None:
        """Stop and give the store file back, checkpointed."""
        ...

    async def run(self, job: Job) -> object:
        """Start a run durably and wait for its result."""
        ...

    async def wait_all(self, jobs: Sequence[Job]) -> None:
        """Return when all these runs, started by an earlier process, have a committed result."""
        ...

    def durability(self) -> Durability:
        """The journal and sync mode of the connection that writes."""
        ...

    async def committed_steps(self, store: Path) -> set[tuple[str, int]]:
        """Run id and step index (from 0) of every step whose completion is committed in this closed store file."""
        ...


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """``level``: Aeterna's persistence; ``dbos_journal``: the journal mode of the file that DBOS gets."""

    level: str = "state-action-log"
    dbos_journal: str = "delete"


SYNCHRONOUS_NAMES = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


def store_bytes(store: Path) -> int:
    """Size of the store file and of the files SQLite keeps beside it."""
    files = [store, *(store.with_name(store.name + suffix) for suffix in ("-wal", "-journal"))]
    return sum(file.stat().st_size for file in files if file.exists())
