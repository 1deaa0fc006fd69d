"""Everything a store holds, read from beginning to end: for looking after it, not for executing runs.

One snapshot, read-only, beside engines that go on working, and in bounded memory: a history comes segment by segment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol, runtime_checkable


class Wanted(NamedTuple):
    """Which runs: those that match every field; None, or empty, matches all."""

    namespace: str | None = None
    workflow: str | None = None
    states: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()


class RunRecord(NamedTuple):
    """A run's row as it is, also where no release wrote it so. ``posted``: the number of its last message; ``length``:
    how many events its history should hold, None where the row does not say."""

    namespace: str
    key: int
    id: str
    workflow: str
    version: str
    state: str
    detail: str
    created_us: int
    updated_us: int
    finished_us: int | None
    wake_us: int | None
    parent: str | None
    note: str
    epoch: int
    queue: str
    priority: int
    share: str
    requires: tuple[str, ...]
    crashes: int
    posted: int
    length: int | None


class SegmentRecord(NamedTuple):
    """A piece of a history: ``events`` events from number ``first`` on, encoded."""

    first: int
    events: int
    body: bytes


class MessageRecord(NamedTuple):
    """A message that no event records yet."""

    namespace: str
    run: str
    number: int
    payload: bytes


class Finding(NamedTuple):
    """Something that is wrong. ``event``: the number of the event it is about; '' and None: it is about no run."""

    problem: str
    namespace: str = ""
    run: str = ""
    event: int | None = None

    @property
    def text(self) -> str:
        """For people, on one line."""
        place = f"run {self.run!r} of app {self.namespace!r}" if self.run else ""
        if self.event is not None:
            place += f", event {self.event}"
        problem = " ".join(self.problem.split())
        return f"{place}: {problem}" if place else problem


class Ledger(Protocol):
    """One snapshot of a store. Every method raises the `StoreError` that says what to do."""

    description: str

    async def count(self, wanted: Wanted) -> int:
        """How many runs match."""
        ...

    def entries(self, wanted: Wanted) -> AsyncIterator[tuple[RunRecord, SegmentRecord | None]]:
        """The runs that match, in the order of their creation, each with its history: one entry per segment, in order,
        and one without a segment for a run that has none."""
        ...

    def messages(self) -> AsyncIterator[MessageRecord]:
        """All messages in inboxes of runs that are there."""
        ...

    def storage_findings(self, *, is_quick: bool) -> AsyncIterator[Finding]:
        """What is wrong with the storage itself, and rows that belong to nothing. ``is_quick``: without what takes much
        longer than reading everything once."""
        ...


@runtime_checkable
class Shrinkable(Protocol):
    """A store whose owner can give space back while it is open."""

    async def vacuum(self) -> tuple[int, int]:
        """As `Upkeep.vacuum`; writing waits for as long as it takes."""
        ...


class Upkeep(Protocol):
    """Looking after a store: its schema and its space. Every method raises the `StoreError` that says what to do."""

    description: str

    async def versions(self) -> tuple[int, int]:
        """The version of its schema (0: it has none yet) and that of this release."""
        ...

    async def script(self, after: int) -> str:
        """The SQL of the migrations after that version; empty if there is none."""
        ...

    async def migrate(self) -> tuple[int, int]:
        """Bring the schema up to date under the migration lock; returns the versions before and after."""
        ...

    async def vacuum(self) -> tuple[int, int]:
        """Give back what room nobody needs; returns the size before and after, in bytes."""
        ...

    def read(self) -> AbstractAsyncContextManager[Ledger]:
        """Everything it holds, as of now."""
        ...
