"""The memory store and the SQLite store, given the same random operations, answer alike and end alike.

Each side decides by itself, at random, whether a commit is `commit` or `commit_at_once`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Created,
    CreateRun,
    Exists,
    Head,
    Outcome,
    Page,
    RunQuery,
    RunRow,
    Store,
    Write,
)
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.kernel.errors import AeternaError
from tests.stores.samples import create, created, steps

SEEDS = 300
OPERATIONS = 60
RUN_IDS = ["a", "a/x", "a/x/1", "a/x/2", "a/y", "b", "b/x", "c", "d"]
"""The parent of a run is what stands before its last slash."""
BAD_TEXT = "\udcff"
OPEN_STATES = ((State.PENDING, Detail.QUEUED), (State.RUNNING, Detail.LEASED), (State.RUNNING, Detail.SLEEPING))
NOTES = [*["", "note"] * 15, BAD_TEXT]
FINAL_STATES = (State.COMPLETED, State.FAILED, State.CANCELLED)
GONE_KEY = 10**9

Operation = tuple[str, tuple[Any, ...]]


class Side:
    """One store, with run ids in the place of its own keys."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.commits: Counter[str] = Counter()
        self.keys: dict[str, int] = {}
        self.names: dict[int, str] = {}

    def plain(self, value: object) -> object:
        """``value`` with keys replaced by run ids, comparable with the other side's."""
        match value:
            case RunRow():
                self._note(value.key, value.id)
                return msgspec.structs.replace(value, key=0)
            case Exists(row):
                return ("exists", self.plain(row))
            case Created(_, epoch):
                return ("created", epoch)
            case Page(rows, cursor):
                return ([self.plain(row) for row in rows], None if cursor is None else self.names[cursor])
            case list():
                return [self.plain(item) for item in value]
            case _:
                return value

    async def carry_out(self, operation: Operation) -> object:
        """The answer to ``operation``, or the error's class."""
        name, arguments = operation
        if name == "commit":
            arguments = ([self._with_key(write) for write in arguments[0]],)
            name = self.random.choice(["commit", "commit_here"])
        if name == "list_runs" and arguments[0].before is not None:
            before = self.keys.get(arguments[0].before, GONE_KEY)
            arguments = (msgspec.structs.replace(arguments[0], before=before),)
        try:
            answer = await (self._commit_here if name == "commit_here" else getattr(self.store, name))(*arguments)
        except AeternaError as error:
            return type(error)
        if operation[0] == "commit":
            self.commits[name] += 1
            for write, outcome in zip(arguments[0], answer, strict=True):
                if isinstance(outcome, Created):
                    self._note(outcome.key, write.id)
        return self.plain(answer)

    async def _commit_here(self, writes: list[Write]) -> list[Outcome]:
        outcomes = self.store.commit_at_once(writes)
        return await self.store.commit(writes) if outcomes is None else outcomes

    async def snapshot(self) -> object:
        """Everything the store can tell."""
        page = await self.store.list_runs(RunQuery(limit=1_000))
        histories = {row.id: await self.store.history(row.id) for row in page.rows}
        return self.plain(page), histories, await self.store.count_runs(), await self.store.next_wake()

    def _with_key(self, write: Any) -> Any:
        if isinstance(write, CreateRun):
            return write
        return msgspec.structs.replace(write, key=self.keys.get(write.key, GONE_KEY))

    def _note(self, key: int, run_id: str) -> None:
        self.keys[run_id] = key
        self.names[key] = run_id


class Script:
    """Random operations, mostly sensible ones: the script looks at the memory side's rows to aim."""

    def __init__(self, seed: int, oracle: Side) -> None:
        self.random = random.Random(seed)
        self.oracle = oracle
        self.now_us = 1_000
        self.sessions = [0]
        self.rows: dict[str, RunRow] = {}
        self.kinds: list[tuple[Callable[[], Operation], int]] = [
            (self.commit, 30),
            (self.claim, 6),
            (lambda: ("claim_run", (self.session(), self.asked_id())), 6),
            (lambda: ("open_session", (self.now_us, "host", 1)), 3),
            (lambda: ("close_session", (self.session(), self.now_us)), 2),
            (lambda: ("next_wake", ()), 2),
            (lambda: ("get_run", (self.asked_id(),)), 2),
            (lambda: ("history", (self.asked_id(), self.random.randint(-1, 12))), 3),
            (self.list_runs, 3),
            (lambda: ("count_runs", ()), 1),
            (lambda: ("delete_runs", ([self.asked_id(), *self.random.choices(RUN_IDS, k=2)],)), 3),
            (lambda: ("delete_finished", (self.now_us - self.random.randint(0, 300), self.random.randint(0, 3))), 3),
        ]

    async def next(self) -> Operation:
        """The next operation."""
        page = await self.oracle.store.list_runs(RunQuery(limit=1_000))
        self.rows = {row.id: row for row in page.rows}
        self.now_us += self.random.randint(0, 40)
        (make,) = self.random.choices([kind for kind, _ in self.kinds], [weight for _, weight in self.kinds])
        return make()

    def session(self) -> int:
        return self.sessions[-1] if self.random.random() < 0.85 else self.random.choice(self.sessions)

    def run_id(self) -> str:
        return self.random.choice(RUN_IDS)

    def asked_id(self) -> str:
        return BAD_TEXT if self.random.random() < 0.03 else self.run_id()

    def claim(self) -> Operation:
        return "claim", (self.session(), self.now_us, self.random.randint(0, 4))

    def list_runs(self) -> Operation:
        rng = self.random
        states = tuple(rng.sample(list(State), rng.randint(1, 3))) if rng.random() < 0.5 else ()
        before: Any = rng.choice(list(self.rows)) if self.rows and rng.random() < 0.5 else None
        workflow = rng.choice([None, None, "x", "x", "y", "y", BAD_TEXT])
        return "list_runs", (RunQuery(workflow, states, rng.randint(0, 5), before),)

    def commit(self) -> Operation:
        lengths = {run_id: row.length for run_id, row in self.rows.items()}
        writes: list[CreateRun | Append] = []
        for _ in range(self.random.randint(1, 4)):
            run_id = self.run_id()
            # An append never names a run that the same commit creates: nobody knows its key yet.
            if run_id not in lengths or self.random.random() < 0.15:
                writes.append(self.create(run_id))
            else:
                writes.append(self.append(run_id, lengths))
        return "commit", (writes,)

    def create(self, run_id: str) -> CreateRun:
        rng = self.random
        owner = self.session() if rng.random() < 0.6 else None
        workflow = rng.choice("xy")
        events = (created(self.now_us, workflow), *steps(1, rng.randint(0, 2)))
        if rng.random() < 0.02:
            events = ()
        state, detail = rng.choice(OPEN_STATES)
        parent = run_id.rpartition("/")[0] or None
        if rng.random() < 0.05:
            # No engine makes circles, or children of nobody, but the answer is to be the same.
            parent = rng.choice([*RUN_IDS, "nobody"])
        bad = {rng.choice(["id", "workflow", "version", "parent"]): BAD_TEXT} if rng.random() < 0.02 else {}
        plain = create(run_id, owner, workflow=workflow, events=events, state=state, detail=detail, parent=parent)
        return msgspec.structs.replace(plain, **bad)

    def append(self, run_id: str, lengths: dict[str, int]) -> Append:
        rng = self.random
        epoch = self.rows[run_id].epoch - (rng.random() < 0.1)
        first = lengths[run_id] + (rng.choice([-1, 1]) if rng.random() < 0.03 else 0)
        events = steps(first, rng.choice([0, 1, 1, 1, 2]))
        if events and rng.random() < 0.01:
            events = (msgspec.structs.replace(events[0], name=BAD_TEXT), *events[1:])
        if epoch == self.rows[run_id].epoch:
            lengths[run_id] += len(events)
        key: Any = run_id
        return Append(key, epoch, first, events, self.now_us, self.head() if rng.random() < 0.4 else None)

    def head(self) -> Head:
        rng = self.random
        if rng.random() < 0.3:
            return Head(rng.choice(FINAL_STATES), Detail.NONE)
        state, detail = rng.choice(OPEN_STATES)
        wake_us = self.now_us + rng.randint(-50, 200) if rng.random() < 0.5 else None
        return Head(state, detail, wake_us, rng.random() < 0.6, rng.choice(NOTES))


async def test_both_stores_answer_alike(tmp_path: Path) -> None:
    """Same answers, same errors, same final snapshot for every seed; the seeds reach every operation and outcome."""
    succeeded: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    commits: Counter[str] = Counter()
    for seed in range(SEEDS):
        oracle = Side(MemoryStore(), seed)
        other = Side(SqliteStore(tmp_path / f"{seed}.db", synchronous="normal"), SEEDS + seed)
        await compare(seed, oracle, other, succeeded, outcomes)
        commits += other.commits
    assert set(succeeded) == {
        "commit", "claim", "claim_run", "open_session", "close_session", "next_wake", "get_run", "history", "list_runs",
        "count_runs", "delete_runs", "delete_finished",
    }  # fmt: skip
    assert min(succeeded.values()) > SEEDS // 10, succeeded
    assert set(outcomes) >= {
        "created", "exists", "Appended", "FencedOff", "InvariantError", "SerializationError",
    }, outcomes  # fmt: skip
    assert min(commits["commit"], commits["commit_here"]) > SEEDS, commits


async def compare(seed: int, oracle: Side, other: Side, succeeded: Counter[str], outcomes: Counter[str]) -> None:
    for side in (oracle, other):
        await side.store.open()
    script = Script(seed, oracle)
    for number in range(OPERATIONS):
        operation = await script.next()
        expected = await oracle.carry_out(operation)
        answer = await other.carry_out(operation)
        assert answer == expected, f"seed {seed}, operation {number}: {operation}"
        count(operation[0], expected, succeeded, outcomes)
        if operation[0] == "open_session":
            assert isinstance(expected, int)
            script.sessions.append(expected)
    assert await other.snapshot() == await oracle.snapshot(), f"seed {seed}: the final snapshots differ"
    for side in (oracle, other):
        await side.store.close()


def count(name: str, answer: object, succeeded: Counter[str], outcomes: Counter[str]) -> None:
    """An operation succeeded when it answered with something: a row, a number, a page that is not empty."""
    if isinstance(answer, type):
        outcomes[answer.__name__] += 1
    elif answer or name == "close_session":
        succeeded[name] += 1
        if name == "commit":
            assert isinstance(answer, list)
            outcomes.update(each[0] if isinstance(each, tuple) else type(each).__name__ for each in answer)
