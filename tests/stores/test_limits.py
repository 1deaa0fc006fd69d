"""Every store starts the runs that `core.fairness` chooses, with queues, shares, rates and priorities at random."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import Payload
from aeterna.durable.core.fairness import Candidate, Standing, choose, rate_of
from aeterna.durable.core.gcra import tat_after
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Choice,
    Created,
    FullStore,
    Head,
    QueueRow,
    RunRow,
)
from tests.stores.samples import create

QUEUES = ["", "a", "b"]
SHARES = ["", "x", "y", "z"]
STEPS = 120
LEASE_US = 10**9


class Model:
    """What the store should know of limits, kept beside it."""

    def __init__(self) -> None:
        self.limits: dict[str, QueueRow] = {}
        self.tat_us: dict[str, int] = {}
        self.served_us: dict[tuple[str, str], int] = {}
        self.waiting: dict[str, tuple[Candidate, int]] = {}
        """By run id: the run and from when on it may start."""
        self.going: dict[str, Candidate] = {}

    def standings(self) -> dict[str, Standing]:
        found = {}
        for queue in QUEUES[1:]:
            running = Counter(run.share for run in self.going.values() if run.queue == queue)
            served = {share: at for (name, share), at in self.served_us.items() if name == queue}
            found[queue] = Standing(running, self.tat_us.get(queue, 0), served)
        return found

    def claim(self, now_us: int, room: int, queues: tuple[str, ...] | None) -> list[str]:
        """The ids of the runs that start."""
        names = {run.key: run_id for run_id, (run, _) in self.waiting.items()}
        candidates = [
            run
            for run, wake_us in self.waiting.values()
            if wake_us <= now_us and (queues is None or run.queue in ("", *queues))
        ]
        chosen = choose(candidates, self.limits, self.standings(), now_us, room)
        for run in chosen:
            self.going[names[run.key]] = run
            del self.waiting[names[run.key]]
            if run.queue:
                self.served_us[run.queue, run.share] = now_us
        for queue, limits in self.limits.items():
            rate = rate_of(limits)
            if rate is not None:
                count = sum(run.queue == queue for run in chosen)
                self.tat_us[queue] = tat_after(rate, self.tat_us.get(queue, 0), now_us, count)
        return [names[run.key] for run in chosen]


class Play:
    """Random operations on a store, and what they should come to."""

    def __init__(self, store: FullStore, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.model = Model()
        self.now_us = 1_000_000
        self.rows: dict[str, RunRow] = {}
        self.session = 0
        self.count = 0

    async def run(self) -> None:
        self.session = await self.store.open_session(self.now_us, "host", 1, lease_us=LEASE_US)
        actions: list[Any] = [self.add, self.add, self.claim, self.claim, self.end, self.put, self.die]
        weights = [6, 6, 5, 5, 5, 2, 1]
        for _ in range(STEPS):
            self.now_us += self.random.choice([0, 1, 3, 50])
            (action,) = self.random.choices(actions, weights)
            await action()
            await self.compare()

    async def add(self) -> None:
        self.count += 1
        run_id = f"r{self.count}"
        queue, share = self.random.choice(QUEUES), self.random.choice(SHARES)
        priority = self.random.choice([0, 0, 0, -1, 2])
        wake_us = self.random.choice([None, None, self.now_us + 20])
        write = create(run_id, queue=queue, share=share, priority=priority, wake_us=wake_us)
        (outcome,) = await self.store.commit([write])
        assert isinstance(outcome, Created)
        self.model.waiting[run_id] = (Candidate(outcome.key, queue, priority, share), wake_us or 0)

    async def claim(self) -> None:
        room = self.random.choice([1, 1, 2, 5, 30])
        queues = self.random.choice([None, None, ("a",), ("b", "unknown"), ()])
        expected = self.model.claim(self.now_us, room, queues)
        rows = await self.store.claim(self.session, self.now_us, room, Choice(queues=queues))
        assert [row.id for row in rows] == expected
        for row in rows:
            begun = (ev.RunStarted(self.now_us, self.session),)
            head = Head(State.RUNNING, Detail.LEASED)
            if self.random.random() < 0.8:
                await self.store.commit([Append(row.key, row.epoch, row.length, begun, self.now_us, head)])
            found = await self.store.get_run(row.id)
            assert found is not None
            self.rows[row.id] = found

    async def end(self) -> None:
        if not self.rows:
            return
        row = self.rows.pop(self.random.choice(sorted(self.rows)))
        if row.state is State.PENDING:
            ended: tuple[ev.AnyEvent, ...] = (ev.RunCancelled(self.now_us),)
            head = Head(State.CANCELLED, Detail.NONE)
        else:
            ended = (ev.RunCompleted(self.now_us, Payload(b"jnull")),)
            head = Head(State.COMPLETED, Detail.NONE)
        await self.store.commit([Append(row.key, row.epoch, row.length, ended, self.now_us, head)])
        del self.model.going[row.id]

    async def put(self) -> None:
        queue = self.random.choice(QUEUES[1:])
        if self.random.random() < 0.2:
            await self.store.delete_queue(queue)
            self.model.limits.pop(queue, None)
            self.model.tat_us.pop(queue, None)
            return
        numbers = [None, 1, 2, 3]
        row = QueueRow(
            queue,
            self.random.choice(numbers),
            self.random.choice(numbers),
            self.random.choice([None, 1, 3]),
            self.random.choice([10, 100]),
            self.random.choice([1, 2]),
            self.random.random() < 0.15,
        )
        await self.store.put_queue(row)
        self.model.limits[queue] = row

    async def die(self) -> None:
        """The session ends; what it had not begun waits again, the rest is taken over by the next one."""
        if self.random.random() < 0.5:
            await self.store.close_session(self.session, self.now_us, died=True)
        else:
            self.now_us += LEASE_US
            assert await self.store.expire_sessions(self.now_us) == [self.session]
        for run_id, row in self.rows.items():
            if row.state is State.PENDING:
                self.model.waiting[run_id] = (self.model.going.pop(run_id), 0)
        begun = {run_id for run_id, row in self.rows.items() if row.state is State.RUNNING}
        self.session = await self.store.open_session(self.now_us, "host", 1, lease_us=LEASE_US)
        self.rows = {}
        for run_id in begun:
            taken = await self.store.claim_run(self.session, run_id)
            assert taken is not None
            self.rows[run_id] = taken

    async def compare(self) -> None:
        for state in await self.store.list_queues():
            name = state.queue.name
            if name:
                assert state.running == sum(run.queue == name for run in self.model.going.values())
                assert state.pending == sum(run.queue == name for run, _ in self.model.waiting.values())
                if name in self.model.limits:
                    assert state.queue == self.model.limits[name]
                    assert state.tat_us == self.model.tat_us.get(name, 0)


@pytest.mark.parametrize("seed", range(12))
async def test_a_store_starts_what_the_decision_says(store: FullStore, seed: int) -> None:
    await store.open()
    try:
        await Play(store, seed).run()
    finally:
        await store.close()
