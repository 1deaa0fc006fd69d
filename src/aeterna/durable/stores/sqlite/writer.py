"""Commits and deletions of one namespace, each as one transaction.

Synchronous, and used by one caller at a time; the store decides on which thread. The fence is inside the statements:
an insert names the epoch and the position it expects, and adds no row when either is not the run's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TypeGuard, assert_never

from msgspec import structs

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    CreateRun,
    Exists,
    FencedOff,
    FireSchedule,
    MessageKind,
    Outcome,
    Post,
    Posted,
    Refused,
    RunRow,
    Write,
)
from aeterna.durable.stores.creations import body_of, require_events
from aeterna.durable.stores.sqlite.plan import Plan, Planned
from aeterna.durable.stores.sqlite.rows import run_row
from aeterna.durable.stores.sqlite.statements import QUERIES
from aeterna.durable.stores.sqlite.transactions import Transactions, Values
from aeterna.durable.stores.text import refuse_unrecordable, require_text
from aeterna.kernel.errors import InvariantError

_GROUPS = (
    (QUERIES["insert_run"], "runs"),
    (QUERIES["insert_segment"], "segments"),
    (QUERIES["consume_message"], "consumed"),
    (QUERIES["change_head"], "heads"),
)


_PLANNED: frozenset[type[Write]] = frozenset((Append, CreateRun))

_LENGTHS_KEPT_MAX = 50_000


class _OtherThanPlannedError(Exception):
    """A batch changed fewer rows than planned: some write of it has another outcome."""


class Writer:
    """Changes the runs of one namespace. ``key`` is the store's own of that namespace."""

    def __init__(self, transactions: Transactions, namespace: str) -> None:
        self._do = transactions
        self.key: int = self._do.run("open", lambda: self._name_namespace(namespace))
        # How long histories are, for the runs at work. Nobody else writes, so it holds; asking SQLite inside the
        # insert doubles what the insert costs, because its rows then go through a temporary table.
        self._lengths: dict[int, int] = {}

    def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`. A batch is tried with a few statements for all, and one by one when not all of it went
        as planned."""
        try:
            if _are_planned(writes):
                plan = self._plan(writes)
                outcomes = self._do.run("write to", lambda: self._carry_out(plan))
                self._learn(plan)
                return outcomes
            _refuse_others(writes)
            return self._write(lambda: self._write_in_groups(writes))
        except _OtherThanPlannedError:
            self._lengths.clear()
        except (UnicodeEncodeError, InvariantError):
            refuse_unrecordable(writes)
            raise
        return self._write(lambda: [self._write_one(write) for write in writes])

    def _write(self, work: Callable[[], list[Outcome]]) -> list[Outcome]:
        """One transaction that learns on the way: whether it ends well or not, what is known afterwards holds."""
        try:
            return self._do.run("write to", work)
        except BaseException:
            self._lengths.clear()
            raise

    def _write_in_groups(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for _, members in groupby(writes, lambda write: type(write) in _PLANNED):
            group = list(members)
            if _are_planned(group):
                plan = self._plan(group)
                outcomes += self._carry_out(plan)
                self._learn(plan)
            else:
                outcomes += map(self._write_one, group)
        return outcomes

    def _plan(self, writes: Sequence[Planned]) -> Plan:
        """What is certain to be right if it changes as many rows as planned; raises `_OtherThanPlannedError` else."""
        plan = Plan(self.key, self._do.next_key, self._length_of, writes)
        if not plan.is_certain:
            raise _OtherThanPlannedError
        return plan

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        for run_id in run_ids:
            require_text("run id", run_id)

        def work() -> int:
            # All are chosen before any is deleted, so that the order of the ids makes no difference.
            return self._delete([row for run_id in run_ids for row in self._do.rows("deletable", self.key, run_id)])

        return self._do.run("delete from", work)

    def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""

        def work() -> int:
            return self._delete(self._do.rows("finished_before", self.key, before_us, max(limit, 0)))

        return self._do.run("delete from", work)

    def _name_namespace(self, namespace: str) -> int:
        self._do.rows("name_namespace", namespace)
        key: int = self._do.rows("namespace_key", namespace)[0][0]
        return key

    def _carry_out(self, plan: Plan) -> list[Outcome]:
        changes_before = self._do.db.total_changes()
        for statement, group in _GROUPS:
            values: list[Values] = getattr(plan, group)
            if values:
                self._do.db.executemany(statement, values)
        if self._do.db.total_changes() - changes_before != plan.row_changes:
            raise _OtherThanPlannedError
        return plan.outcomes

    def _write_one(self, write: Write) -> Outcome:
        match write:
            case CreateRun():
                return self._create_one(write)
            case Append():
                return self._append_one(write)
            case Post():
                return self._post(write)
            case FireSchedule():
                return self._fire(write)
            case _:
                assert_never(write)

    def _create_one(self, write: CreateRun) -> Outcome:
        plan = Plan(self.key, self._do.next_key, self._length_of, [write])
        # Another run may be in its way, and then nothing of it is to stay.
        found = self._in_the_way(write)
        if found is not None:
            return Exists(found)
        self._carry_out(plan)
        self._learn(plan)
        return plan.outcomes[0]

    def _in_the_way(self, write: CreateRun) -> RunRow | None:
        """The run of that id, or the unfinished one of that singleton, as it is after a debounced call."""
        keys = self._do.rows("key_by_id", self.key, write.id)
        if not keys and write.singleton is not None:
            keys = self._do.rows("key_by_singleton", self.key, write.singleton)
        if not keys:
            return None
        key = keys[0][0]
        if write.debounce and self._do.rows("debounce", key, write.wake_us, write.singleton):
            self._do.rows("delete_segments", key)
            self._do.rows("insert_segment", key, 0, len(write.events), body_of(write.events), 0)
            self._lengths.pop(key, None)
        return run_row(self._do.rows("run_by_key", key)[0], self._do.path)

    def _append_one(self, write: Append) -> Outcome:
        found = self._do.rows("run_position", write.key, self.key)
        if not found or found[0][1] != write.epoch:
            return FencedOff()
        run_id, epoch, length = found[0]
        if write.is_repeat and length >= write.first + len(write.events) > write.first:
            return Appended()
        if write.first != length:
            raise InvariantError(
                f"run {run_id!r} has {length} events; an append of epoch {epoch} starts at {write.first}"
            )
        # One that is gone was recorded before.
        there = tuple(number for number in write.consumed if self._do.rows("has_message", write.key, number))
        plan = Plan(self.key, self._do.next_key, lambda _: length, [structs.replace(write, consumed=there)])
        self._carry_out(plan)
        self._learn(plan)
        return plan.outcomes[0]

    def _post(self, write: Post) -> Outcome:
        keys = self._do.rows("key_by_id", self.key, write.run_id)
        row = run_row(self._do.rows("run_by_key", keys[0][0])[0], self._do.path) if keys else None
        if row is None:
            return Refused(None)
        known = self._do.rows("message_number", row.key, write.id) if write.id else []
        # A signal that is sent again because its answer was lost has arrived, also when the run has ended since.
        if row.state.is_final and not (known and write.kind is MessageKind.SIGNAL):
            return Refused(row)
        if known:
            return Posted(known[0][0], row.owner, is_duplicate=True)
        # A signal moves no run that is paused or has not begun.
        moves = write.kind is not MessageKind.SIGNAL or not (row.detail is Detail.PAUSED or row.state is State.PENDING)
        number: int = self._do.rows("next_number", row.key, moves)[0][0]
        self._do.rows(
            "insert_message", row.key, number, write.id, write.kind, write.name, bytes(write.payload), write.at_us
        )
        if write.id:
            self._do.rows("name_message", row.key, write.id, number)
        return Posted(number, row.owner)

    def _fire(self, write: FireSchedule) -> Outcome:
        last_run = None if write.run is None else write.run.id
        if not self._do.rows("fire_schedule", self.key, write.schedule, write.due_us, write.next_us, last_run):
            return FencedOff()
        return Appended() if write.run is None else self._create_one(write.run)

    def _length_of(self, key: int) -> int | None:
        length = self._lengths.get(key)
        if length is None:
            found = self._do.look("read", "run_position", key, self.key)
            length = found[0][2] if found else None
        return length

    def _learn(self, plan: Plan) -> None:
        self._do.next_key = plan.next_key
        if len(self._lengths) > _LENGTHS_KEPT_MAX:
            self._lengths.clear()
        self._lengths.update(plan.lengths)

    def _delete(self, keys: Iterable[Values]) -> int:
        families = (self._do.rows("family", self.key, key) for (key,) in keys)
        found = list(dict.fromkeys(row for family in families for row in family))
        for statement in ("delete_segments", "delete_inbox", "delete_message_ids", "delete_run"):
            self._do.db.executemany(QUERIES[statement], found)
        self._lengths.clear()
        return len(found)


def _are_planned(writes: Sequence[Write]) -> TypeGuard[Sequence[Planned]]:
    """All of them are of the kinds that can be planned."""
    return _PLANNED.issuperset(map(type, writes))


def _refuse_others(writes: Sequence[Write]) -> None:
    """Raise for what the plan of a creation would refuse, in writes that are not planned."""
    refuse_unrecordable(writes)
    for write in writes:
        if isinstance(write, FireSchedule) and write.run is not None:
            require_events(write.run)
