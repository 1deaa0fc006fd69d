"""A quick look at a store: runs as people list them, without the machinery that histories need.

A command line that answers within 50 ms cannot load it. Synchronous and read-only; sees the owner's last commit; never
blocks, and is never blocked by, an engine.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import apsw

from aeterna.durable.stores.sqlite.connections import open_reader
from aeterna.durable.stores.sqlite.faults import corrupt, explaining
from aeterna.durable.stores.sqlite.run_lines import LineQuery, RunLine
from aeterna.durable.stores.sqlite.statements import QUERIES

if TYPE_CHECKING:
    from aeterna.durable.core.events import AnyEvent

_KEY_MAX = 2**63 - 1


class Glance:
    """The store at ``path``, for reading, as a context manager. Raises `StoreError`, also if there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: apsw.Connection = open_reader(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._db.close()

    def runs(self, query: LineQuery) -> tuple[list[RunLine], int | None]:
        """The runs, and the cursor of the next page (None at the end)."""
        before = _KEY_MAX if query.before is None else query.before
        states = json.dumps(query.states) if query.states else None
        found = self._all("run_lines", query.namespace, before, query.workflow, states, query.limit + 1)
        lines = [RunLine(*values) for values in found[: query.limit]]
        return lines, lines[-1].key if lines and len(found) > query.limit else None

    def runs_of_id(self, run_id: str, namespace: str | None = None) -> list[RunLine]:
        """The runs of that id, one per namespace that has it."""
        return [RunLine(*values) for values in self._all("run_lines_by_id", namespace, run_id)]

    def ids_finished_before(self, before_us: int, namespace: str | None = None) -> list[tuple[str, str]]:
        """``(namespace, id)`` of the runs that finished before that time, oldest first."""
        return [(found, run_id) for found, run_id in self._all("ids_finished_before", namespace, before_us)]

    def counts(self, namespace: str | None = None) -> dict[str, int]:
        """How many runs there are, by state."""
        return dict(self._all("count_runs", namespace))

    def standing(self, namespace: str | None = None) -> tuple[int | None, int]:
        """When the run that waits longest for its start was created, and how many runs are stuck."""
        ((oldest_us, stuck),) = self._all("standing", namespace)
        return oldest_us, stuck

    def queues(self, namespace: str | None = None) -> list[tuple[str, int, int, int | None, bool, int | None]]:
        """By name: how many runs wait and go on, how many may go on, whether it is paused, when the oldest was
        created that waits."""
        found = self._all("queue_lines", namespace)
        return [(*values, bool(is_paused), oldest_us) for *values, is_paused, oldest_us in found]

    def schedules(self, namespace: str | None = None) -> list[str]:
        """Their ids."""
        return [schedule for (schedule,) in self._all("schedule_ids", namespace)]

    def sessions(self, namespace: str | None = None) -> list[tuple[int, str, str, int, int, str]]:
        """Of live sessions: number, name, host, pid, how many runs they have, and what they say of themselves."""
        return self._all("session_lines", namespace)

    def history(self, line: RunLine, start: int = 0) -> list[AnyEvent]:
        """The events of a run from number ``start`` on; raises `StoreCorruptError` rather than leave one out."""
        # Imported here: events need msgspec, which takes half of what a command may take.
        from aeterna.durable.core.segment import decode_segment
        from aeterna.kernel.errors import StoreCorruptError

        events: list[AnyEvent] = []
        first = None
        for seq, count, body in self._all("history", line.namespace, line.id, start):
            first = min(seq, start) if first is None else first
            try:
                events += decode_segment(body)
            except StoreCorruptError as error:
                raise corrupt(self.path, "read", f"run {line.id!r}, segment {seq}: {error}") from error
            if first + len(events) != seq + count:
                raise corrupt(self.path, "read", f"run {line.id!r}: events before number {seq + count} are missing")
        return events[start - (first or 0) :]

    def _all(self, name: str, *values: object) -> list[tuple[Any, ...]]:
        with explaining(self.path, "read", self._db):
            return self._db.execute(QUERIES[name], values).fetchall()
