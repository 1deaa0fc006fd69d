"""The store that keeps nothing beyond its own object: plain dicts, no durability.

It is level L0, and the oracle: tests run the same operations here and in other stores and compare. That only says
something because nothing is shared with them but the contract, so keep it simple enough to be seen right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import assert_never

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    ANY,
    CRASH_LIMIT,
    NEVER_US,
    Append,
    Appended,
    Choice,
    Created,
    CreateRun,
    Exists,
    FencedOff,
    FireSchedule,
    Message,
    MessageKind,
    Outcome,
    Page,
    Post,
    Refused,
    RunQuery,
    RunRow,
    Write,
)
from aeterna.durable.stores.memory_registry import Tokens
from aeterna.durable.stores.memory_run import MemoryRun, open_events
from aeterna.durable.stores.memory_sessions import MemorySessions
from aeterna.durable.stores.text import refuse_unrecordable, require_choice, require_text
from aeterna.kernel.errors import InvariantError, UsageError


class MemoryStore(MemorySessions):
    """Runs and histories in this object only. ``close`` keeps them for a later ``open``; the end of the process does
    not."""

    def __init__(self, namespace: str = "default", *, is_shared: bool = False, tokens: Tokens | None = None) -> None:
        super().__init__(namespace, tokens or Tokens(), is_shared=is_shared)
        self._runs: dict[int, MemoryRun] = {}
        self._keys: dict[str, int] = {}
        self._children: dict[str, dict[int, MemoryRun]] = {}
        self._next_key = 1
        self._crash_limit = CRASH_LIMIT

    # Runs.

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
                case Post():
                    outcomes.append(self._post(write))
                case FireSchedule():
                    outcomes.append(self._fire(write))
                case _:
                    assert_never(write)
        return outcomes

    async def claim(self, session: int, now_us: int, limit: int, choice: Choice = ANY) -> list[RunRow]:
        """See `Store.claim`; a session that is not live gets nothing."""
        self._require_open()
        require_choice(choice)
        if session not in self._sessions or limit <= 0:
            return []
        due = [
            run
            for run in self._unfinished.values()
            if run.is_due(now_us) and run.suits(choice) and run.crashes < self._crash_limit
        ]
        due.sort(key=lambda run: run.key)
        taken = [run for run in due if run.state is not State.PENDING][:limit]
        waiting = [run for run in due if run.state is State.PENDING]
        if waiting and len(taken) < limit:
            taken += self._queues.start(waiting, self._unfinished.values(), now_us, limit - len(taken))
        return [run.take(session) for run in taken]

    async def claim_run(self, session: int, run_id: str, *, by_force: bool = False) -> RunRow | None:
        """See `Store.claim_run`; a session that is not live gets nothing."""
        self._require_open()
        require_text("run id", run_id)
        run = self._find(run_id)
        if run is None or session not in self._sessions or run.state.is_final:
            return None
        if by_force:
            run.crashes = 0
        elif run.owner not in (None, session):
            return None
        return run.take(session)

    async def release_runs(self, session: int, except_keys: Sequence[int], *, at_us: int) -> int:
        """See `Store.release_runs`."""
        self._require_open()
        kept = frozenset(except_keys)
        released = [run for run in self._unfinished.values() if run.owner == session and run.key not in kept]
        for run in released:
            run.disown()
        return len(released)

    async def poisoned(self, limit: int) -> list[RunRow]:
        """See `Store.poisoned`."""
        self._require_open()
        found = [
            run.row()
            for run in self._unfinished.values()
            if run.owner is None and run.crashes >= self._crash_limit and run.detail is not Detail.STUCK
        ]
        return found[: max(limit, 0)]

    def set_crash_limit(self, limit: int) -> None:
        """See `Store.set_crash_limit`."""
        self._crash_limit = limit

    async def next_wake(self) -> int | None:
        """See `Store.next_wake`."""
        self._require_open()
        wakes = (run.wake_us for run in self._unfinished.values() if run.owner is None)
        return min((wake for wake in wakes if wake is not None and wake != NEVER_US), default=None)

    async def inbox(self, run_id: str) -> list[Message]:
        """See `Store.inbox`."""
        self._require_open()
        require_text("run id", run_id)
        run = self._find(run_id)
        return [] if run is None else list(run.inbox)

    async def unread(self, session: int) -> list[str]:
        """See `Store.unread`."""
        self._require_open()
        return [run.id for run in self._unfinished.values() if run.owner == session and run.inbox]

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

    # What it is made of.

    def _find(self, run_id: str) -> MemoryRun | None:
        key = self._keys.get(run_id)
        return None if key is None else self._runs[key]

    def _check_positions(self, writes: Sequence[Write]) -> None:
        lengths: dict[int, int] = {}
        for write in writes:
            created = write.run if isinstance(write, FireSchedule) else write
            if isinstance(created, CreateRun) and not created.events:
                raise InvariantError(f"run {created.id!r} cannot be created without a RunCreated event")
            if not isinstance(write, Append):
                continue
            run = self._runs.get(write.key)
            if run is None or run.epoch != write.epoch:
                continue
            length = lengths.get(write.key, len(run.events))
            if _is_done(write, length):
                continue
            if write.first != length:
                raise InvariantError(
                    f"run {run.id!r} has {length} events, but an append of epoch {write.epoch} starts at {write.first}"
                )
            lengths[write.key] = length + len(write.events)

    def _create(self, write: CreateRun) -> Outcome:
        known = self._find(write.id) or self._find_singleton(write)
        if known is not None:
            if write.debounce:
                known.debounce(write)
            return Exists(known.row())
        run = MemoryRun.of(self._next_key, write, write.owner if write.owner in self._sessions else None)
        self._next_key += 1
        self._keys[run.id] = run.key
        if run.parent is not None:
            self._children.setdefault(run.parent, {})[run.key] = run
        self._file(run)
        return Created(run.key, run.epoch)

    def _find_singleton(self, write: CreateRun) -> MemoryRun | None:
        if write.singleton is None:
            return None
        return next((run for run in self._unfinished.values() if run.singleton == write.singleton), None)

    def _append(self, write: Append, first_new_key: int) -> Outcome:
        run = self._runs.get(write.key)
        if run is None or run.epoch != write.epoch or write.key >= first_new_key:
            return FencedOff()
        if _is_done(write, len(run.events)):
            return Appended()
        run.events.extend(open_events(write.events))
        run.consume(write.consumed)
        if write.head is not None:
            run.change(write.head, write.at_us)
            self._file(run)
        return Appended()

    def _post(self, write: Post) -> Outcome:
        run = self._find(write.run_id)
        if run is None:
            return Refused(None)
        if run.state.is_final and not (write.kind is MessageKind.SIGNAL and write.id in run.ids):
            return Refused(run.row())
        return run.post(write)

    def _fire(self, write: FireSchedule) -> Outcome:
        if not self._schedules.fire(write):
            return FencedOff()
        return Appended() if write.run is None else self._create(write.run)

    def _file(self, run: MemoryRun) -> None:
        self._runs[run.key] = run
        if run.state.is_final:
            self._unfinished.pop(run.key, None)
        else:
            self._unfinished[run.key] = run

    def _family(self, run: MemoryRun) -> dict[int, MemoryRun]:
        """The run and all its descendants, by key."""
        family = {run.key: run}
        waiting = [run]
        while waiting:
            children = self._children.get(waiting.pop().id, {})
            waiting += [child for child in children.values() if child.key not in family]
            family |= children
        return family

    def _can_go(self, run: MemoryRun, before_us: float = math.inf) -> bool:
        parent = None if run.parent is None else self._find(run.parent)
        return (parent is None or parent.state.is_final) and all(
            each.finished_us is not None and each.finished_us < before_us for each in self._family(run).values()
        )

    def _delete(self, runs: Iterable[MemoryRun]) -> int:
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


def _matches(run: MemoryRun, query: RunQuery) -> bool:
    return (
        (query.workflow is None or run.workflow == query.workflow)
        and (not query.states or run.state in query.states)
        and (query.before is None or run.key < query.before)
    )


def _is_done(write: Append, length: int) -> bool:
    """The answer to this write was lost, and it had been carried out."""
    return write.is_repeat and length >= write.first + len(write.events) > write.first


class MemoryNamespaces:
    """The memory stores of several applications, in this object only."""

    def __init__(self) -> None:
        self._tokens = Tokens()
        self._stores: dict[str, MemoryStore] = {}
        self._is_open = False

    async def open(self) -> None:
        """See `Namespaces.open`."""
        self._is_open = True
        for store in self._stores.values():
            await store.open()

    async def close(self) -> None:
        """See `Namespaces.close`."""
        self._is_open = False
        for store in self._stores.values():
            await store.close()

    async def names(self) -> list[str]:
        """See `Namespaces.names`."""
        return sorted(self._stores)

    def store(self, namespace: str) -> MemoryStore:
        """See `Namespaces.store`."""
        if namespace not in self._stores:
            self._stores[namespace] = MemoryStore(namespace, tokens=self._tokens)
        return self._stores[namespace]
