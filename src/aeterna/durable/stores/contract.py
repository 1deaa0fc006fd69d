"""What a store promises, and what correctness rests on.

A store keeps runs (one small row each) and their histories (events, append-only). All writing goes through `commit`,
so that one transaction serves everybody who queued while the previous one ran. Reading never blocks writing.

Who may write a run is decided by its *epoch*: claiming a run raises it, every append names it, and the comparison
happens inside the write itself. A session that was declared dead can therefore come back at any time and do no harm.

Runs form families: a child names its parent's id. The id of a child follows from its parent's, so what is kept of a
child is what its parent finds when it asks again. Deleting therefore never takes a child that an unfinished parent may
still ask for, and never leaves descendants behind that a later run of the same id would take for its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import Detail, State


class RunRow(msgspec.Struct, frozen=True):
    """One run as the store keeps it. ``key`` is the store's own handle for the run, valid in that store only.

    ``wake_us``: when a released run wants to be claimed again; None = at once. ``note``: why a run is stuck, in
    words. ``length``: how many events its history holds."""

    key: int
    id: str
    workflow: str
    version: str
    state: State
    detail: Detail
    created_us: int
    updated_us: int
    length: int
    epoch: int
    owner: int | None = None
    wake_us: int | None = None
    finished_us: int | None = None
    parent: str | None = None
    note: str = ""


class Head(msgspec.Struct, frozen=True):
    """The part of a run's row that an append may change. ``release``: give the run up, keeping its epoch; nobody owns
    it then and it can be claimed once ``wake_us`` has come."""

    state: State
    detail: Detail
    wake_us: int | None = None
    release: bool = False
    note: str = ""


class CreateRun(msgspec.Struct, frozen=True):
    """Create a run unless its id exists. ``owner`` is the session that executes it at once (epoch 1), or None to
    leave it claimable (epoch 0). ``events`` starts with RunCreated; ``state`` and ``detail`` are the fold of
    ``events``."""

    id: str
    workflow: str
    version: str
    state: State
    detail: Detail
    owner: int | None
    events: tuple[AnyEvent, ...]
    parent: str | None = None


class Append(msgspec.Struct, frozen=True):
    """Append ``events`` to a run's history as numbers ``first``, ``first + 1``, ... (the first event of a run is
    number 0), and change its row if ``head`` is given. Refused when ``epoch`` is not the run's. ``events`` may be
    empty."""

    key: int
    epoch: int
    first: int
    events: tuple[AnyEvent, ...]
    at_us: int
    head: Head | None = None


Write = CreateRun | Append


class Created(msgspec.Struct, frozen=True):
    """The run was created; it can be written under this key and epoch."""

    key: int
    epoch: int


class Exists(msgspec.Struct, frozen=True):
    """A run of that id exists already; nothing was written for it."""

    row: RunRow


class Appended(msgspec.Struct, frozen=True):
    """The events are part of the history."""


class FencedOff(msgspec.Struct, frozen=True):
    """The epoch is not the run's (or the run is gone); nothing was written for it."""


Outcome = Created | Exists | Appended | FencedOff


class RunQuery(msgspec.Struct, frozen=True):
    """Which runs to list: all those that match every field given, newest first. ``before`` is a cursor from
    `Page.next`."""

    workflow: str | None = None
    states: tuple[State, ...] = ()
    limit: int = 100
    before: int | None = None


class Page(msgspec.Struct, frozen=True):
    """Some rows, and the cursor of the next page (None at the end)."""

    rows: tuple[RunRow, ...]
    next: int | None


class Store(Protocol):
    """Sixteen methods. Every method raises a `StoreError` subclass that names the store, what failed and what would
    help, and `SerializationError`, before it does anything, for text that UTF-8 cannot hold (lone surrogates)."""

    description: str
    """What and where it is, in one line, for messages (``sqlite at /x/orders.db``)."""

    async def open(self) -> None:
        """Open or create the store, migrate it if its version is older, and take it for this process alone where the
        store cannot be shared. Idempotent."""
        ...

    async def close(self) -> None:
        """Give everything back; committed data stays. Idempotent."""
        ...

    async def open_session(self, at_us: int, host: str, pid: int) -> int:
        """A new session number, never used before and never used again. In a store that one process holds alone, all
        earlier sessions are dead from here on, and what they owned is claimable."""
        ...

    async def close_session(self, session: int, at_us: int) -> None:
        """End a session; what it owned is claimable."""
        ...

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Carry out all writes in order as one transaction; one outcome per write, in the same order.

        A write whose outcome is Exists or FencedOff leaves no trace and does not disturb the others; an error leaves
        no trace of any. With a durable store, what this returned survives a crash of the process and of the machine.
        ``first`` must equal the run's length, else `InvariantError`: two writers of one epoch are a bug."""
        ...

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """`commit` without a task switch, for a store that can do it now and quickly: a switch costs as much as a
        small commit. None means nothing was done and `commit` is to be called."""
        ...

    async def claim(self, session: int, now_us: int, limit: int) -> list[RunRow]:
        """Take up to ``limit`` unfinished runs that no live session owns and whose ``wake_us`` is None or has come,
        oldest first: owner becomes ``session``, epoch rises by one. A run is never handed to two sessions under one
        epoch."""
        ...

    async def claim_run(self, session: int, run_id: str) -> RunRow | None:
        """Take this run if it is unfinished and no *other* live session owns it, due or not; None otherwise. A run
        the session owns already is claimed anew (its epoch rises)."""
        ...

    async def next_wake(self) -> int | None:
        """The earliest ``wake_us`` of unfinished runs that nobody owns."""
        ...

    async def get_run(self, run_id: str) -> RunRow | None:
        """One row, as of the last commit."""
        ...

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """The events of a run from number ``start`` on; empty for an unknown run."""
        ...

    async def list_runs(self, query: RunQuery) -> Page:
        """Rows that match, newest first by creation order."""
        ...

    async def count_runs(self) -> dict[State, int]:
        """How many runs are in each state; states without runs are left out."""
        ...

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Delete finished runs with their descendants (children, their children, ...) and all histories. Returns how
        many runs were deleted, descendants included.

        A run is left alone, with all its descendants, in two cases. While its parent exists and is unfinished: that
        may ask for it again. And while a descendant is unfinished: a new run of the same id would take that one for
        its own child. The order of ``run_ids`` makes no difference."""
        ...

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """`delete_runs` for up to ``limit`` runs that finished before that time, oldest first, passing over those that
        are to be left alone or have a descendant that finished later. Descendants do not count towards ``limit``, but
        they do in what is returned."""
        ...

    async def backup(self, target: Path) -> None:
        """Write a consistent copy to ``target``, which must not exist, while others read and write."""
        ...
