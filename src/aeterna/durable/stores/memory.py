"""The store that keeps nothing beyond its own object: plain dicts, no durability.

It is level L0, and the oracle: tests run the same operations here and in other stores and compare. That only says
something because nothing is shared with them but the contract, so keep it simple enough to be seen right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
    CreateRun,
    Exists,
    FencedOff,
    Head,
    Outcome,
    Page,
    RunQuery,
    RunRow,
    Write,
)
from aeterna.durable.stores.text import refuse_unrecordable, require_text
from aeterna.kernel.errors import InvariantError, StoreError, UsageError


@dataclass(slots=True)
class _Run:
    key: int
    id: str
    workflow: str
    version: str
    parent: str | None
    state: State
    detail: Detail
    epoch: int
    owner: int | None
    created_us: int
    updated_us: int
    finished_us: int | None
    wake_us: int | None = None
    note: str = ""
    events: list[AnyEvent] = field(default_factory=list)

    def row(self) -> RunRow:
        return RunRow(
            key=self.key,
            id=self.id,
            workflow=self.workflow,
            version=self.version,
            state=self.state,
            detail=self.detail,
            created_us=self.created_us,
            updated_us=self.updated_us,
            length=len(self.events),
            epoch=self.epoch,
            owner=self.owner,
            wake_us=self.wake_us,
            finished_us=self.finished_us,
            parent=self.parent,
            note=self.note,
        )

    def take(self, session: int) -> RunRow:
        self.owner = session
        self.epoch += 1
        return self.row()

    def change(self, head: Head, at_us: int) -> None:
        self.state, self.detail, self.note = head.state, head.detail, head.note
        self.wake_us = head.wake_us
        self.updated_us = at_us
        self.finished_us = at_us if head.state.is_final else None
        if head.release or head.state.is_final:
            self.owner = None


class MemoryStore:
    """Runs and histories in this object only. ``close`` keeps them for a later ``open``; the end of the process does
    not."""

    def __init__(self, namespace: str = "default") -> None:
        require_text("namespace", namespace)
        self.namespace = namespace
        self.description = f"memory store of namespace {namespace!r}"
        self._runs: dict[int, _Run] = {}
        self._keys: dict[str, int] = {}
        self._unfinished: dict[int, _Run] = {}
        self._children: dict[str, dict[int, _Run]] = {}
        self._next_key = 1
        self._last_session = 0
        self._live: int | None = None
        self._is_open = False

    async def open(self) -> None:
        """See `Store.open`."""
        self._is_open = True

    async def close(self) -> None:
        """See `Store.close`."""
        self._is_open = False

    async def open_session(self, at_us: int, host: str, pid: int) -> int:
        """See `Store.open_session`: the new session is the only live one."""
        self._require_open()
        require_text("host", host)
        for run in self._unfinished.values():
            run.owner = None
        self._last_session += 1
        self._live = self._last_session
        return self._last_session

    async def close_session(self, session: int, at_us: int) -> None:
        """See `Store.close_session`; a session that is not live is left as it is."""
        self._require_open()
        if session != self._live:
            return
        self._live = None
        for run in self._unfinished.values():
            run.owner = None

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`."""
        return self.commit_at_once(writes)

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit_at_once`. All checks that can raise come before the first change."""
        self._require_open()
        refuse_unrecordable(writes)
        self._check_positions(writes)
        first_new_key = self._next_key
        outcomes: list[Outcome] = []
        for write in writes:
            match write:
                case CreateRun():
                    outcomes.append(self._create(write))
                case Append():
                    outcomes.append(self._append(write, first_new_key))
                case _:
                    assert_never(write)
        return outcomes

    async def claim(self, session: int, now_us: int, limit: int) -> list[RunRow]:
        """See `Store.claim`; a session that is not live gets nothing."""
        self._require_open()
        if session != self._live:
            return []
        due = [
            run
            for run in self._unfinished.values()
            if run.owner is None and (run.wake_us is None or run.wake_us <= now_us)
        ]
        due.sort(key=lambda run: run.key)
        return [run.take(session) for run in due[: max(limit, 0)]]

    async def claim_run(self, session: int, run_id: str) -> RunRow | None:
        """See `Store.claim_run`; a session that is not live gets nothing."""
        self._require_open()
        require_text("run id", run_id)
        run = self._find(run_id)
        if run is None or session != self._live or run.state.is_final or run.owner not in (None, session):
            return None
        return run.take(session)

    async def next_wake(self) -> int | None:
        """See `Store.next_wake`."""
        self._require_open()
        wakes = (run.wake_us for run in self._unfinished.values() if run.owner is None)
        return min((wake for wake in wakes if wake is not None), default=None)

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        self._require_open()
        require_text("run id", run_id)
        run = self._find(run_id)
        return None if run is None else run.row()

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`."""
        self._require_open()
        require_text("run id", run_id)
        run = self._find(run_id)
        return [] if run is None else run.events[max(start, 0) :]

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        self._require_open()
        require_text("workflow", query.workflow or "")
        found = [run for run in reversed(self._runs.values()) if _matches(run, query)]
        shown = found[: max(query.limit, 0)]
        more = bool(shown) and len(found) > len(shown)
        return Page(tuple(run.row() for run in shown), shown[-1].key if more else None)

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        self._require_open()
        return dict(Counter(run.state for run in self._runs.values()))

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        self._require_open()
        for run_id in run_ids:
            require_text("run id", run_id)
        found = [run for run in map(self._find, run_ids) if run is not None and self._can_go(run)]
        return self._delete(found)

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""
        self._require_open()
        old = [
            (run.finished_us, run.key, run)
            for run in self._runs.values()
            if run.finished_us is not None and run.finished_us < before_us and self._can_go(run, before_us)
        ]
        old.sort(key=lambda entry: entry[:2])
        return self._delete([run for _, _, run in old[: max(limit, 0)]])

    async def backup(self, target: Path) -> None:
        """Always raises `UsageError`: there is nothing that a copy could be restored into."""
        raise UsageError(f"cannot back up to {target}: a {self.description} keeps nothing; use store=sqlite:///PATH")

    def _require_open(self) -> None:
        if not self._is_open:
            raise StoreError(f"{self.description} is not open; call open() first")

    def _find(self, run_id: str) -> _Run | None:
        key = self._keys.get(run_id)
        return None if key is None else self._runs[key]

    def _check_positions(self, writes: Sequence[Write]) -> None:
        lengths: dict[int, int] = {}
        for write in writes:
            if isinstance(write, CreateRun):
                if not write.events:
                    raise InvariantError(f"run {write.id!r} cannot be created without a RunCreated event")
                continue
            run = self._runs.get(write.key)
            if run is None or run.epoch != write.epoch:
                continue
            length = lengths.get(write.key, len(run.events))
            if write.first != length:
                raise InvariantError(
                    f"run {run.id!r} has {length} events, but an append of epoch {write.epoch} starts at {write.first}"
                )
            lengths[write.key] = length + len(write.events)

    def _create(self, write: CreateRun) -> Outcome:
        known = self._find(write.id)
        if known is not None:
            return Exists(known.row())
        last_us = write.events[-1].at_us
        is_final = write.state.is_final
        run = _Run(
            key=self._next_key,
            id=write.id,
            workflow=write.workflow,
            version=write.version,
            parent=write.parent,
            state=write.state,
            detail=write.detail,
            epoch=0 if write.owner is None else 1,
            owner=write.owner if write.owner == self._live and not is_final else None,
            created_us=write.events[0].at_us,
            updated_us=last_us,
            finished_us=last_us if is_final else None,
            events=list(write.events),
        )
        self._next_key += 1
        self._keys[run.id] = run.key
        if run.parent is not None:
            self._children.setdefault(run.parent, {})[run.key] = run
        self._file(run)
        return Created(run.key, run.epoch)

    def _append(self, write: Append, first_new_key: int) -> Outcome:
        run = self._runs.get(write.key)
        if run is None or run.epoch != write.epoch or write.key >= first_new_key:
            return FencedOff()
        run.events.extend(write.events)
        if write.head is not None:
            run.change(write.head, write.at_us)
            self._file(run)
        return Appended()

    def _file(self, run: _Run) -> None:
        self._runs[run.key] = run
        if run.state.is_final:
            self._unfinished.pop(run.key, None)
        else:
            self._unfinished[run.key] = run

    def _family(self, run: _Run) -> dict[int, _Run]:
        """The run and all its descendants, by key."""
        family = {run.key: run}
        waiting = [run]
        while waiting:
            children = self._children.get(waiting.pop().id, {})
            waiting += [child for child in children.values() if child.key not in family]
            family |= children
        return family

    def _can_go(self, run: _Run, before_us: float = math.inf) -> bool:
        parent = None if run.parent is None else self._find(run.parent)
        return (parent is None or parent.state.is_final) and all(
            each.finished_us is not None and each.finished_us < before_us for each in self._family(run).values()
        )

    def _delete(self, runs: Iterable[_Run]) -> int:
        gone = {key: each for run in runs for key, each in self._family(run).items()}
        for run in gone.values():
            del self._runs[run.key]
            del self._keys[run.id]
            if run.parent is not None:
                self._forget_child(run.parent, run.key)
        return len(gone)

    def _forget_child(self, parent: str, key: int) -> None:
        children = self._children[parent]
        del children[key]
        if not children:
            del self._children[parent]


def _matches(run: _Run, query: RunQuery) -> bool:
    return (
        (query.workflow is None or run.workflow == query.workflow)
        and (not query.states or run.state in query.states)
        and (query.before is None or run.key < query.before)
    )
