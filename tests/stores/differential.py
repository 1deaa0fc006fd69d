"""Two stores, given the same random operations, answer alike and end alike: everything that a store promises, sessions
with leases, messages, queues, singletons, schedules and repeats included.

Numbers of sessions and keys of runs are each store's own; they are compared as the how-manieth session and by run id.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec

from aeterna.durable.stores.contract import (
    Append,
    Choice,
    Created,
    CreateRun,
    Exists,
    FireSchedule,
    FullStore,
    Outcome,
    Page,
    Posted,
    Refused,
    RunQuery,
    RunRow,
    SessionRow,
    Write,
)
from aeterna.kernel.errors import AeternaError
from tests.stores.differential_script import Operation, Script

NONE_OF_OURS = 10**9
"""A key, or a session, that no store gives away."""

replace = msgspec.structs.replace


class Side:
    """One store, spoken to in names instead of its own numbers. Each side decides by itself, at random, whether a
    commit is `commit` or `commit_at_once`."""

    def __init__(self, store: FullStore, seed: int) -> None:
        self.store = store
        self.commits: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._sessions: list[int] = []
        self._keys: dict[str, int] = {}
        self._ids: dict[int, str] = {}

    async def do(self, operation: Operation) -> object:
        """The answer to ``operation``, or the error's class."""
        name, *values = operation
        ours = getattr(self, f"_{name}", None)
        try:
            return self.plain(await (ours or getattr(self.store, name))(*values))
        except AeternaError as error:
            return type(error)

    def plain(self, value: object) -> object:
        """``value`` without numbers of the store's own, comparable with the other side's."""
        match value:
            case RunRow():
                self._note(value.key, value.id)
                return replace(value, key=0, owner=self._ordinal(value.owner))
            case Exists(row) | Refused(row):
                return (type(value).__name__, None if row is None else self.plain(row))
            case Created(_, epoch):
                return ("Created", epoch)
            case Posted(number, owner, is_duplicate):
                return ("Posted", number, self._ordinal(owner), is_duplicate)
            case SessionRow():
                return replace(value, number=self._sessions.index(value.number))
            case Page(rows, cursor):
                return ([self.plain(row) for row in rows], None if cursor is None else self._ids[cursor])
            case list():
                return [self.plain(item) for item in value]
            case _:
                return value

    async def snapshot(self) -> object:
        """Everything the store can tell."""
        store = self.store
        page = await store.list_runs(RunQuery(limit=1_000))
        runs = [(await store.history(row.id), await store.inbox(row.id)) for row in page.rows]
        kept = [await store.list_queues(), await store.list_schedules(), await store.next_schedule()]
        sessions = [self.plain(each) for each in await store.list_sessions()]
        tokens = await store.list_tokens()
        return self.plain(page), runs, kept, sessions, tokens, await store.count_runs(), await store.next_wake()

    # Operations that name sessions or keys.

    async def _open_session(self, at_us: int, lease_us: int | None) -> int:
        number = await self.store.open_session(at_us, "host", 7, lease_us=lease_us, name="n", about="{}")
        self._sessions.append(number)
        return len(self._sessions)

    async def _close_session(self, ordinal: int, at_us: int, died: bool) -> None:
        await self.store.close_session(self._session(ordinal), at_us, died=died)

    async def _renew_sessions(self, ordinals: list[int], expires_us: int) -> list[int | None]:
        alive = await self.store.renew_sessions([self._session(each) for each in ordinals], expires_us)
        return [self._ordinal(each) for each in alive]

    async def _expire_sessions(self, now_us: int) -> list[int | None]:
        return [self._ordinal(each) for each in await self.store.expire_sessions(now_us)]

    async def _unread(self, ordinal: int) -> list[str]:
        return await self.store.unread(self._session(ordinal))

    async def _claim(self, ordinal: int, now_us: int, limit: int, choice: Choice) -> list[RunRow]:
        return await self.store.claim(self._session(ordinal), now_us, limit, choice)

    async def _claim_run(self, ordinal: int, run_id: str, by_force: bool) -> RunRow | None:
        return await self.store.claim_run(self._session(ordinal), run_id, by_force=by_force)

    async def _release_runs(self, ordinal: int, run_ids: list[str], at_us: int) -> int:
        keys = [self._keys.get(run_id, NONE_OF_OURS) for run_id in run_ids]
        return await self.store.release_runs(self._session(ordinal), keys, at_us=at_us)

    async def _list_runs(self, query: RunQuery, before: str | None) -> Page:
        key = None if before is None else self._keys.get(before, NONE_OF_OURS)
        return await self.store.list_runs(replace(query, before=key))

    async def _commit(self, writes: list[Any]) -> list[Outcome]:
        translated = [self._translate(write) for write in writes]
        outcomes = self.store.commit_at_once(translated) if self._random.random() < 0.5 else None
        self.commits["commit" if outcomes is None else "commit_at_once"] += 1
        if outcomes is None:
            outcomes = await self.store.commit(translated)
        for write, outcome in zip(writes, outcomes, strict=True):
            if isinstance(outcome, Created):
                run: Any = write.run if isinstance(write, FireSchedule) else write
                self._note(outcome.key, run.id)
        return outcomes

    def _translate(self, write: Any) -> Write:
        match write:
            case CreateRun(owner=int(owner)):
                return replace(write, owner=self._session(owner))
            case Append():
                return replace(write, key=self._keys.get(str(write.key), NONE_OF_OURS))
            case FireSchedule(run=CreateRun() as run):
                return replace(write, run=self._translate(run))
            case _:
                other: Write = write
                return other

    def _note(self, key: int, run_id: str) -> None:
        self._keys[run_id] = key
        self._ids[key] = run_id

    def _session(self, ordinal: int) -> int:
        return self._sessions[ordinal] if ordinal < len(self._sessions) else NONE_OF_OURS

    def _ordinal(self, session: int | None) -> int | None:
        return None if session is None else self._sessions.index(session)


class Seen:
    """What the operations of all seeds have come to."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    def count(self, operation: Operation, answer: object) -> None:
        """An operation succeeded when it answered with something: a row, a number, a page that is not empty."""
        name = operation[0]
        if isinstance(answer, type):
            self.outcomes[answer.__name__] += 1
            return
        if answer:
            self.answers[name] += 1
        if name == "commit":
            assert isinstance(answer, list)
            self.outcomes.update(each[0] if isinstance(each, tuple) else type(each).__name__ for each in answer)

    def require_all(self) -> None:
        """Fail unless every operation has succeeded, and every outcome has come, many times."""
        missing = {
            "commit", "claim", "claim_run", "open_session", "renew_sessions", "expire_sessions", "release_runs",
            "unread", "inbox", "poisoned", "next_wake", "get_run", "history", "list_runs", "count_runs", "delete_runs",
            "delete_finished", "list_queues", "delete_queue", "list_schedules", "next_schedule", "delete_schedule",
            "list_sessions", "list_tokens", "delete_token", "forget",
        } - {name for name, times in self.answers.items() if times > 2}  # fmt: skip
        assert not missing, self.answers
        missing = {
            "Created", "Exists", "Appended", "FencedOff", "Posted", "Refused", "InvariantError", "SerializationError",
        } - {name for name, times in self.outcomes.items() if times > 2}  # fmt: skip
        assert not missing, self.outcomes


async def play(script: Script, sides: tuple[Side, Side], operations: int, seen: Seen) -> None:
    """The same answers all along, and the same end. The script aims by the rows of the first side, the oracle."""
    oracle, other = sides
    for side in sides:
        await side.store.open()
        side.store.set_crash_limit(script.crash_limit)
    try:
        for number in range(operations):
            operation = await script.next(oracle.store)
            expected, answer = await oracle.do(operation), await other.do(operation)
            assert answer == expected, f"seed {script.seed}, operation {number}: {operation}"
            seen.count(operation, expected)
            script.learn(operation, expected)
        expected, answer = await oracle.snapshot(), await other.snapshot()
        assert answer == expected, f"seed {script.seed}: the final snapshots differ"
    finally:
        for side in sides:
            await side.store.close()
