"""The memory store and the PostgreSQL store, given the same random operations, answer alike and end alike: everything
that a store shared by several processes promises, sessions with leases, messages, singletons and repeats included.

Numbers of sessions and keys of runs are each store's own; they are compared as the how-manieth session and by run id.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from aeterna.durable.core.events import Payload
from aeterna.durable.core.segment import encode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Choice,
    Created,
    CreateRun,
    Exists,
    FireSchedule,
    FullStore,
    Head,
    MessageKind,
    Page,
    Post,
    Posted,
    QueueRow,
    Refused,
    RunQuery,
    RunRow,
    ScheduleRow,
    Sealed,
    SessionRow,
)
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.postgres import PostgresStore
from aeterna.kernel.errors import AeternaError
from tests.stores.samples import create, created, steps

SEEDS = 40
OPERATIONS = 70
RUN_IDS = ["a", "a/x", "a/x/1", "a/y", "b", "b/x", "c", "nul\0\x1a0"]
SINGLETONS = RUN_IDS[4:6]
QUEUES = ["", "", "", "q", "r"]
WORKFLOWS = ["x", "y"]
BAD_TEXT = "\udcff"
NO_SESSION = 10**9
replace = msgspec.structs.replace
OPEN = [(State.PENDING, Detail.QUEUED), (State.RUNNING, Detail.LEASED), (State.RUNNING, Detail.SLEEPING)]
OPEN += [(State.PENDING, Detail.PAUSED), (State.RUNNING, Detail.PAUSED), (State.RUNNING, Detail.STUCK)]


class Side:
    """One store, spoken to in names instead of its own numbers."""

    def __init__(self, store: FullStore) -> None:
        self.store = store
        self.sessions: list[int] = []
        self.keys: dict[str, int] = {}
        self.ids: dict[int, str] = {}

    def note(self, key: int, run_id: str) -> None:
        self.keys[run_id] = key
        self.ids[key] = run_id

    def ordinal(self, session: int | None) -> int | None:
        return None if session is None else self.sessions.index(session)

    def session(self, ordinal: int) -> int:
        return self.sessions[ordinal] if ordinal < len(self.sessions) else NO_SESSION

    def plain(self, value: object) -> object:
        match value:
            case RunRow():
                self.note(value.key, value.id)
                return replace(value, key=0, owner=self.ordinal(value.owner))
            case Exists(row) | Refused(row):
                return (type(value).__name__, None if row is None else self.plain(row))
            case Created(_, epoch):
                return ("Created", epoch)
            case Posted(number, owner, is_duplicate):
                return ("Posted", number, self.ordinal(owner), is_duplicate)
            case SessionRow():
                return replace(value, number=self.ordinal(value.number) or 0)
            case Page(rows, cursor):
                return ([self.plain(row) for row in rows], None if cursor is None else self.ids[cursor])
            case list():
                return [self.plain(item) for item in value]
            case _:
                return value

    async def do(self, name: str, *values: Any) -> object:
        """The answer, or the error's class."""
        try:
            return self.plain(await getattr(self if hasattr(self, name) else self.store, name)(*values))
        except AeternaError as error:
            return type(error)

    async def open_session(self, at_us: int, lease_us: int) -> int:
        self.sessions.append(await self.store.open_session(at_us, "host", 7, lease_us=lease_us, name="n", about="{}"))
        return len(self.sessions) - 1

    async def close_session(self, ordinal: int, at_us: int, died: bool) -> None:
        await self.store.close_session(self.session(ordinal), at_us, died=died)

    async def renew_sessions(self, ordinals: list[int], expires_us: int) -> list[Any]:
        alive = await self.store.renew_sessions([self.session(each) for each in ordinals], expires_us)
        return [self.ordinal(each) for each in alive]

    async def expire_sessions(self, now_us: int) -> list[Any]:
        return [self.ordinal(each) for each in await self.store.expire_sessions(now_us)]

    async def unread(self, ordinal: int) -> list[str]:
        return await self.store.unread(self.session(ordinal))

    async def claim(self, ordinal: int, now_us: int, limit: int, choice: Choice) -> list[RunRow]:
        return await self.store.claim(self.session(ordinal), now_us, limit, choice)

    async def claim_run(self, ordinal: int, run_id: str, by_force: bool) -> RunRow | None:
        return await self.store.claim_run(self.session(ordinal), run_id, by_force=by_force)

    async def release_runs(self, ordinal: int, run_ids: list[str], at_us: int) -> int:
        keys = [self.keys.get(run_id, NO_SESSION) for run_id in run_ids]
        return await self.store.release_runs(self.session(ordinal), keys, at_us=at_us)

    async def list_runs(self, query: RunQuery, before: str | None) -> Page:
        key = None if before is None else self.keys.get(before, NO_SESSION)
        return await self.store.list_runs(replace(query, before=key))

    async def commit(self, writes: list[Any]) -> list[Any]:
        translated = [self.translate(write) for write in writes]
        outcomes = await self.store.commit(translated)
        for write, outcome in zip(writes, outcomes, strict=True):
            if isinstance(outcome, Created):
                run: Any = write.run if isinstance(write, FireSchedule) else write
                self.note(outcome.key, run.id)
        return outcomes

    def translate(self, write: Any) -> Any:
        match write:
            case CreateRun(owner=int(owner)):
                return replace(write, owner=self.session(owner))
            case Append():
                return replace(write, key=self.keys.get(str(write.key), NO_SESSION))
            case _:
                return write

    async def snapshot(self) -> object:
        store = self.store
        page = await store.list_runs(RunQuery(limit=1_000))
        runs = [(await store.history(row.id), await store.inbox(row.id)) for row in page.rows]
        kept = [await store.list_queues(), await store.list_schedules(), await store.next_schedule()]
        sessions = [self.plain(each) for each in await store.list_sessions()]
        return self.plain(page), runs, kept, sessions, await store.count_runs(), await store.next_wake()


class Script:
    """Random operations, mostly sensible ones: it looks at the memory side's rows to aim."""

    def __init__(self, seed: int, oracle: Side) -> None:
        self.rng = random.Random(seed)
        self.oracle = oracle
        self.now_us = 1_000
        self.opened = 0
        self.rows: dict[str, RunRow] = {}
        self.schedules: dict[str, int] = {}
        self.appended: list[Append] = []
        self.kinds: list[tuple[Callable[[], tuple[Any, ...]], int]] = [
            (self.commit, 36),
            (self.claim, 8),
            (lambda: ("claim_run", self.session(), self.asked(), self.rng.random() < 0.3), 5),
            (self.open_session, 4),
            (lambda: ("close_session", self.session(), self.now_us, self.rng.random() < 0.6), 2),
            (lambda: ("renew_sessions", [self.session(), self.session()], self.now_us + 90), 3),
            (lambda: ("expire_sessions", self.now_us), 3),
            (lambda: ("release_runs", self.session(), [self.run_id()], self.now_us), 2),
            (lambda: ("unread", self.session()), 2),
            (lambda: ("inbox", self.asked()), 2),
            (lambda: ("poisoned", self.rng.randint(0, 2)), 2),
            (lambda: ("get_run", self.asked()), 2),
            (lambda: ("history", self.asked(), self.rng.randint(-1, 9)), 3),
            (self.list_runs, 2),
            (lambda: ("delete_runs", [self.asked(), *self.rng.choices(RUN_IDS, k=2)]), 2),
            (lambda: ("delete_finished", self.now_us - self.rng.randint(0, 300), self.rng.randint(0, 3)), 2),
            (self.put_queue, 2),
            (lambda: ("delete_queue", self.rng.choice(QUEUES[3:])), 1),
            (self.put_schedule, 2),
            (lambda: ("delete_schedule", self.rng.choice("st")), 1),
        ]

    async def next(self) -> tuple[Any, ...]:
        page = await self.oracle.store.list_runs(RunQuery(limit=1_000))
        self.rows = {row.id: row for row in page.rows}
        self.schedules = {row.id: row.next_us or 0 for row in await self.oracle.store.list_schedules()}
        self.now_us += self.rng.randint(0, 30)
        (make,) = self.rng.choices([kind for kind, _ in self.kinds], [weight for _, weight in self.kinds])
        operation = make()
        if operation[0].startswith("delete_"):
            self.appended.clear()
        return operation

    def session(self) -> int:
        latest = max(self.opened - 1, 0)
        return latest if self.rng.random() < 0.7 else self.rng.randint(0, latest + 1)

    def run_id(self) -> str:
        return self.rng.choice(RUN_IDS)

    def asked(self) -> str:
        return BAD_TEXT if self.rng.random() < 0.03 else self.run_id()

    def open_session(self) -> tuple[Any, ...]:
        self.opened += 1
        return "open_session", self.now_us, self.rng.choice([40, 200, 10_000])

    def claim(self) -> tuple[Any, ...]:
        rng = self.rng
        choice = Choice(
            rng.choice([None, None, (("x", "1"),), (("y", "1"), ("x", "1")), ()]),
            rng.choice([None, None, ("q",), ("r", "other"), ()]),
            rng.choice([("gpu",), ("gpu", "eu"), ()]),
        )
        return "claim", self.session(), self.now_us, rng.randint(0, 5), choice

    def list_runs(self) -> tuple[Any, ...]:
        rng = self.rng
        states = tuple(rng.sample(list(State), rng.randint(1, 3))) if rng.random() < 0.5 else ()
        query = RunQuery(rng.choice([None, None, "x", "y", BAD_TEXT]), states, rng.randint(0, 5))
        return "list_runs", query, rng.choice(list(self.rows)) if self.rows and rng.random() < 0.5 else None

    def put_queue(self) -> tuple[Any, ...]:
        rng = self.rng
        numbers = [None, 1, 2]
        limits = (rng.choice(numbers), rng.choice(numbers), rng.choice([None, 1, 3]), rng.choice([20, 70]))
        return "put_queue", QueueRow(rng.choice(QUEUES[3:]), *limits, rng.choice([1, 2]), rng.random() < 0.2)

    def put_schedule(self) -> tuple[Any, ...]:
        rng = self.rng
        next_us = rng.choice([None, self.now_us + 10])
        return "put_schedule", ScheduleRow(rng.choice("st"), '{"n":1}', next_us, rng.random() < 0.3)

    def commit(self) -> tuple[Any, ...]:
        lengths = {run_id: row.length for run_id, row in self.rows.items()}
        writes: list[Any] = []
        for _ in range(self.rng.randint(1, 5)):
            kind = self.rng.random()
            if kind < 0.15:
                writes.append(self.post())
            elif kind < 0.2:
                writes.append(self.fire())
            elif kind < 0.25 and self.appended:
                writes.append(replace(self.rng.choice(self.appended[-3:]), is_repeat=True))
            else:
                run_id = self.run_id()
                is_new = run_id not in lengths or self.rng.random() < 0.15
                # What may get another beginning is appended to by nobody, before somebody takes it.
                is_new = is_new or (run_id in SINGLETONS and not self.rows[run_id].epoch)
                writes.append(self.create(run_id) if is_new else self.append(run_id, lengths))
        return "commit", writes

    def create(self, run_id: str) -> CreateRun:
        rng = self.rng
        workflow = rng.choice(WORKFLOWS)
        state, detail = rng.choice(OPEN)
        singleton = rng.choice([None, "one", "two"]) if run_id in SINGLETONS else None
        if rng.random() < 0.02:
            workflow = BAD_TEXT
        return create(
            run_id,
            self.session() if rng.random() < 0.5 else None,
            workflow=workflow,
            events=(created(self.now_us, "w"), *steps(1, rng.randint(0, 2))) if rng.random() < 0.98 else (),
            state=state,
            detail=detail,
            parent=run_id.rpartition("/")[0] or None,
            queue=rng.choice(QUEUES),
            share=rng.choice(["", "s", "t\0"]),
            priority=rng.choice([0, 0, -3, 5]),
            requires=rng.choice([(), (), ("gpu",), ("eu", "gpu")]),
            wake_us=rng.choice([None, None, self.now_us + 40]),
            singleton=singleton,
            debounce=singleton is not None and rng.random() < 0.5,
        )

    def append(self, run_id: str, lengths: dict[str, int]) -> Append:
        rng = self.rng
        row = self.rows[run_id]
        epoch = row.epoch - (rng.random() < 0.1)
        first = lengths[run_id] + (rng.choice([-1, 1]) if rng.random() < 0.02 else 0)
        # Each append is another one, so that a repeat is only ever of itself.
        self.now_us += 1
        events: Any = tuple(replace(step, at_us=self.now_us) for step in steps(first, rng.choice([0, 1, 1, 2])))
        if epoch == row.epoch:
            lengths[run_id] += len(events)
        if events and rng.random() < 0.2:
            events = Sealed(len(events), encode_segment(events))
        consumed = tuple(rng.sample(range(1, 5), rng.randint(0, 2))) if len(events) and rng.random() < 0.3 else ()
        head = None if row.state.is_final else self.head()
        if head is not None and head.state.is_final and epoch == row.epoch:
            self.rows[run_id] = replace(row, state=head.state)
        write = Append(run_id, epoch, first, events, self.now_us, head, consumed)  # type: ignore[arg-type]
        if epoch == row.epoch and len(events):
            self.appended.append(write)
        return write

    def head(self) -> Head | None:
        rng = self.rng
        kind = rng.random()
        if kind < 0.6:
            return None
        if kind < 0.7:
            return Head(rng.choice([State.COMPLETED, State.FAILED, State.CANCELLED]), Detail.NONE)
        state, detail = rng.choice(OPEN)
        return Head(state, detail, rng.choice([None, self.now_us + rng.randint(-9, 99)]), rng.random() < 0.6, "why\0")

    def post(self) -> Post:
        rng = self.rng
        kind = rng.choice([MessageKind.SIGNAL, MessageKind.SIGNAL, *MessageKind])
        return Post(self.run_id(), rng.choice(["", "1", "2"]), kind, "na\0me", Payload(b"j1"), self.now_us)

    def fire(self) -> FireSchedule:
        name = self.rng.choice("st")
        due_us = self.schedules.get(name, 5) + self.rng.choice([0, 0, 0, 1])
        run = None if self.rng.random() < 0.3 else self.create(self.run_id())
        return FireSchedule(name, due_us, self.rng.choice([None, due_us, due_us + 10]), run)


class Seen:
    """What the operations have come to, over all seeds."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    def count(self, name: str, answer: object) -> None:
        if isinstance(answer, type):
            self.outcomes[answer.__name__] += 1
        elif name == "commit":
            assert isinstance(answer, list)
            self.outcomes.update(each[0] if isinstance(each, tuple) else type(each).__name__ for each in answer)
        elif answer:
            self.answers[name] += 1


async def play(seed: int, other: FullStore, seen: Seen) -> None:
    """One seed: the same answers all along, and the same end."""
    sides = oracle, _ = Side(MemoryStore(is_shared=True)), Side(other)
    for side in sides:
        await side.store.open()
        side.store.set_crash_limit(1)
    script = Script(seed, oracle)
    try:
        for number in range(OPERATIONS):
            name, *values = await script.next()
            expected, answer = [await side.do(name, *values) for side in sides]
            assert answer == expected, f"seed {seed}, operation {number}: {name} {values}"
            seen.count(name, expected)
            if name == "commit" and isinstance(expected, type):
                script.appended.clear()
        expected, answer = [await side.snapshot() for side in sides]
        assert answer == expected, f"seed {seed}: the final snapshots differ"
    finally:
        for side in sides:
            await side.store.close()


def namespaces(url: str) -> Iterator[PostgresStore]:
    """A store of its own namespace per seed: making a schema takes longer than playing."""
    for seed in range(SEEDS):
        yield PostgresStore(url, f"seed {seed}")


@pytest.mark.timeout(280)
async def test_both_stores_answer_alike(postgres_url: str) -> None:
    seen = Seen()
    for seed, store in enumerate(namespaces(postgres_url)):
        await play(seed, store, seen)
    assert set(seen.answers) >= {
        "claim", "claim_run", "renew_sessions", "expire_sessions", "release_runs", "unread", "inbox", "poisoned",
        "get_run", "history", "list_runs", "delete_runs", "delete_finished", "delete_queue", "delete_schedule",
    }, seen.answers  # fmt: skip
    assert set(seen.outcomes) >= {
        "Created", "Exists", "Appended", "FencedOff", "Posted", "Refused", "InvariantError", "SerializationError",
    }, seen.outcomes  # fmt: skip
