"""What the memory store keeps beside the runs: queues, schedules and tokens, in plain dicts."""

from __future__ import annotations

from collections.abc import Iterable

from aeterna.durable.core import gcra
from aeterna.durable.core.fairness import NO_QUEUE, Candidate, Standing, choose, rate_of
from aeterna.durable.stores.contract import FireSchedule, QueueRow, QueueState, Rank, RunRow, ScheduleRow, TokenRow
from aeterna.durable.stores.memory_run import MemoryRun


class Tokens:
    """The tokens of all namespaces of one place."""

    def __init__(self) -> None:
        self._rows: dict[bytes, TokenRow] = {}

    async def put_token(self, token: TokenRow) -> None:
        """See `Registry.put_token`."""
        self._rows[token.hash] = token

    async def delete_token(self, hash_: bytes) -> bool:
        """See `Registry.delete_token`."""
        return self._rows.pop(hash_, None) is not None

    async def list_tokens(self) -> list[TokenRow]:
        """See `Registry.list_tokens`."""
        return sorted(self._rows.values(), key=lambda token: (token.created_us, token.hash))


class Queues:
    """The queues of one namespace, and which of the runs that wait in them may start."""

    def __init__(self) -> None:
        self._rows: dict[str, QueueRow] = {}
        self._tat_us: dict[str, int] = {}
        self._served_us: dict[str, dict[str, int]] = {}

    def put(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`. What a rate limit has counted so far still counts."""
        self._rows[queue.name] = queue

    def delete(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        self._tat_us.pop(name, None)
        return self._rows.pop(name, None) is not None

    def forget_shares(self, unfinished: Iterable[MemoryRun], before_us: int, limit: int) -> int:
        """See `Store.forget`."""
        needed = {(run.queue, run.share) for run in unfinished}
        old = sorted(
            (served_us, queue, share)
            for queue, shares in self._served_us.items()
            for share, served_us in shares.items()
            if served_us < before_us and (queue, share) not in needed
        )[: max(limit, 0)]
        for _, queue, share in old:
            del self._served_us[queue][share]
        return len(old)

    def states(self, unfinished: Iterable[MemoryRun]) -> list[QueueState]:
        """See `Registry.list_queues`."""
        runs: dict[str, list[MemoryRun]] = {name: [] for name in self._rows}
        for run in unfinished:
            if run.queue != NO_QUEUE:
                runs.setdefault(run.queue, []).append(run)
        return [self._state(name, runs[name]) for name in sorted(runs)]

    def _state(self, name: str, runs: list[MemoryRun]) -> QueueState:
        waiting = [run.created_us for run in runs if not run.has_place]
        return QueueState(
            self._rows.get(name, QueueRow(name)),
            len(waiting),
            len(runs) - len(waiting),
            min(waiting, default=None),
            self._tat_us.get(name, 0),
        )

    def rank(self, unfinished: Iterable[MemoryRun], run: RunRow) -> Rank:
        """See `Registry.rank`."""
        others = [other for other in unfinished if other.queue == run.queue]
        ahead = [
            other for other in others if not other.has_place and (other.priority, other.key) < (run.priority, run.key)
        ]
        return Rank(len(ahead), sum(other.has_place and other.share == run.share for other in others))

    def start(
        self, waiting: list[MemoryRun], unfinished: Iterable[MemoryRun], now_us: int, room: int
    ) -> list[MemoryRun]:
        """Those of ``waiting`` that start now, in order; the queues take note."""
        running: dict[str, dict[str, int]] = {}
        for run in unfinished:
            if run.has_place:
                shares = running.setdefault(run.queue, {})
                shares[run.share] = shares.get(run.share, 0) + 1
        names = {run.queue for run in waiting} - {NO_QUEUE}
        standings = {
            name: Standing(running.get(name, {}), self._tat_us.get(name, 0), self._served_us.get(name, {}))
            for name in names
        }
        by_key = {run.key: run for run in waiting}
        candidates = [Candidate(run.key, run.queue, run.priority, run.share) for run in waiting]
        chosen = choose(candidates, self._rows, standings, now_us, room)
        for candidate in chosen:
            self._note_start(candidate, now_us)
        return [by_key[candidate.key] for candidate in chosen]

    def _note_start(self, candidate: Candidate, now_us: int) -> None:
        if candidate.queue == NO_QUEUE:
            return
        self._served_us.setdefault(candidate.queue, {})[candidate.share] = now_us
        queue = self._rows.get(candidate.queue)
        rate = None if queue is None else rate_of(queue)
        if rate is not None:
            tat_us = self._tat_us.get(candidate.queue, 0)
            self._tat_us[candidate.queue] = gcra.tat_after(rate, tat_us, now_us, 1)


class Schedules:
    """The schedules of one namespace."""

    def __init__(self) -> None:
        self._rows: dict[str, ScheduleRow] = {}

    def put(self, schedule: ScheduleRow) -> None:
        """See `Registry.put_schedule`."""
        self._rows[schedule.id] = schedule

    def delete(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        return self._rows.pop(schedule, None) is not None

    def all(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        return [self._rows[name] for name in sorted(self._rows)]

    def next_us(self) -> int | None:
        """See `Registry.next_schedule`."""
        times = (row.next_us for row in self._rows.values() if not row.is_paused)
        return min((time for time in times if time is not None), default=None)

    def fire(self, write: FireSchedule) -> bool:
        """Move a schedule on; False if it does not stand where the write says."""
        row = self._rows.get(write.schedule)
        if row is None or row.next_us != write.due_us:
            return False
        last_run = row.last_run if write.run is None else write.run.id
        self._rows[row.id] = ScheduleRow(row.id, row.spec, write.next_us, row.is_paused, last_run)
        return True
