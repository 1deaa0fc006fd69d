"""Queues, schedules and tokens in a SQLite file."""

from __future__ import annotations

from typing import Any

from aeterna.durable.core.fairness import NO_QUEUE
from aeterna.durable.stores.contract import QueueRow, QueueState, Rank, RunRow, ScheduleRow, TokenRow
from aeterna.durable.stores.sqlite.transactions import Transactions
from aeterna.durable.stores.text import require_text


def queue_row(values: tuple[Any, ...]) -> tuple[QueueRow, int]:
    """A queue as its statement selects it, and the number of its rate limit."""
    *fields, tat_us = values
    fields[-1] = bool(fields[-1])
    return QueueRow(*fields), tat_us


class RegistryWriter:
    """What is kept beside the runs of one namespace, whose key is ``namespace``."""

    def __init__(self, transactions: Transactions, namespace: int) -> None:
        self._do = transactions
        self._namespace = namespace

    def put_queue(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`."""
        require_text("queue name", queue.name)
        limits = (queue.concurrency, queue.concurrency_per_share, queue.rate, queue.rate_period_us, queue.burst)
        self._change("put_queue", self._namespace, queue.name, *limits, queue.is_paused)

    def delete_queue(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        require_text("queue name", name)
        return self._change("delete_queue", self._namespace, name)

    def queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        known = {queue.name: (queue, tat) for queue, tat in map(queue_row, self._look("queues", self._namespace))}
        counts = {name: counted for name, *counted in self._look("queue_counts", self._namespace)}
        states = []
        for name in sorted({*known, *counts} - {NO_QUEUE}):
            queue, tat_us = known.get(name, (QueueRow(name), 0))
            pending, running, oldest_us = counts.get(name, (0, 0, None))
            states.append(QueueState(queue, pending, running, oldest_us, tat_us))
        return states

    def rank(self, run: RunRow) -> Rank:
        """See `Registry.rank`."""
        ((ahead, running),) = self._look("rank", self._namespace, run.queue, run.share, run.priority, run.key)
        return Rank(ahead, running)

    def put_schedule(self, schedule: ScheduleRow) -> None:
        """See `Registry.put_schedule`."""
        for what, text in (("id", schedule.id), ("spec", schedule.spec), ("last run", schedule.last_run)):
            require_text(f"schedule {what}", text)
        values = (schedule.id, schedule.spec, schedule.next_us, schedule.is_paused, schedule.last_run)
        self._change("put_schedule", self._namespace, *values)

    def delete_schedule(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        require_text("schedule id", schedule)
        return self._change("delete_schedule", self._namespace, schedule)

    def schedules(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        return [
            ScheduleRow(name, spec, next_us, bool(is_paused), last_run)
            for name, spec, next_us, is_paused, last_run in self._look("schedules", self._namespace)
        ]

    def next_schedule(self) -> int | None:
        """See `Registry.next_schedule`."""
        next_us: int | None = self._look("next_schedule", self._namespace)[0][0]
        return next_us

    def put_token(self, token: TokenRow) -> None:
        """See `Registry.put_token`."""
        for what, text in (("namespace", token.namespace), ("role", token.role), ("note", token.note)):
            require_text(f"token {what}", text)
        self._change("put_token", token.hash, token.namespace, token.role, token.created_us, token.note)

    def delete_token(self, hash_: bytes) -> bool:
        """See `Registry.delete_token`."""
        return self._change("delete_token", hash_)

    def tokens(self) -> list[TokenRow]:
        """See `Registry.list_tokens`."""
        return [TokenRow(*values) for values in self._look("tokens")]

    def _change(self, statement: str, *values: object) -> bool:
        return bool(self._do.run("write to", lambda: self._do.rows(statement, *values)))

    def _look(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._do.look("read", statement, *values)
