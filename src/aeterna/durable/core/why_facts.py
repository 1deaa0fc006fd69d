"""What is asked, and what is answered, about a run that waits (see ``why``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from aeterna.durable.core import events as ev
from aeterna.durable.core import gcra
from aeterna.durable.core.states import Detail, State


class Kind(StrEnum):
    """What can keep a run."""

    ENDED = "ended"
    EXECUTING = "executing"
    CLAIMABLE = "claimable"
    DELAYED = "delayed"
    QUEUE_PAUSED = "queue_paused"
    CONCURRENCY = "concurrency"
    RATE = "rate"
    BEHIND = "behind"
    NO_WORKER = "no_worker"
    SLEEPING = "sleeping"
    SIGNAL = "signal"
    CHILD = "child"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    PAUSED = "paused"
    STUCK = "stuck"
    POISON = "poison"


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """``text``: what the run waits for, in one sentence; ``unblocks``: what would make it go on; ``until_us``: when it
    goes on by itself; ``run_id``: the run that is spoken of; ``because``: why the run waits that it waits for;
    ``also``: what else is in its way."""

    kind: Kind
    text: str
    unblocks: str = ""
    until_us: int | None = None
    run_id: str = ""
    because: Why | None = None
    also: tuple[Why, ...] = ()


class Row(Protocol):
    """What is asked of a run's row; see ``stores.contract.RunRow``."""

    @property
    def id(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def detail(self) -> Detail: ...
    @property
    def note(self) -> str: ...
    @property
    def owner(self) -> int | None: ...
    @property
    def wake_us(self) -> int | None: ...
    @property
    def finished_us(self) -> int | None: ...
    @property
    def queue(self) -> str: ...
    @property
    def share(self) -> str: ...
    @property
    def requires(self) -> tuple[str, ...]: ...
    @property
    def crashes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Place:
    """How a run's queue stands towards it. ``ahead``: runs that wait there and come before it; ``running_of_share``:
    runs of its share that have started."""

    queue: str
    is_paused: bool = False
    concurrency: int | None = None
    concurrency_per_share: int | None = None
    rate: gcra.Rate | None = None
    tat_us: int = 0
    running: int = 0
    running_of_share: int = 0
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """A live session. None = all workflows, all queues."""

    session: int
    label: str
    workflows: frozenset[tuple[str, str]] | None = None
    queues: frozenset[str] | None = None
    capabilities: frozenset[str] = frozenset()

    def lacks(self, row: Row) -> str | None:
        """What keeps it from executing this run, None = nothing."""
        if self.workflows is not None and (row.workflow, row.version) not in self.workflows:
            versions = sorted(version for name, version in self.workflows if name == row.workflow)
            if versions:
                return f"has version {listed(versions)} of workflow {row.workflow!r}, not {row.version!r}"
            return f"does not have workflow {row.workflow!r}"
        if row.queue and row.state is State.PENDING and self.queues is not None and row.queue not in self.queues:
            return f"does not serve queue {row.queue!r}"
        missing = sorted(set(row.requires) - self.capabilities)
        return f"does not have {listed(missing)}" if missing else None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is asked. ``unread``: messages in the inbox; ``place``: None for a run of no queue."""

    row: Row
    history: Sequence[ev.AnyEvent]
    workers: Sequence[Worker]
    now_us: int
    unread: int = 0
    place: Place | None = None
    child: Why | None = None


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return ", ".join(map(repr, names))
