"""Random operations on a store, mostly sensible ones, in names instead of the store's own numbers: a session is the
how-manieth that was opened, and the key of an append is a run id."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.core.segment import encode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    NEVER_US,
    Append,
    Choice,
    CreateRun,
    Events,
    FireSchedule,
    FullStore,
    Head,
    MessageKind,
    Post,
    QueueRow,
    RunQuery,
    RunRow,
    ScheduleRow,
    Sealed,
    TokenRow,
)
from tests.stores.samples import create, created, steps

RUN_IDS = ["a", "a/x", "a/x/1", "a/x/2", "a/y", "b", "b/x", "c", "nul\0\x1a0"]
"""The parent of a run is what stands before its last slash."""
SINGLETONS = RUN_IDS[5:7]
QUEUES = ["", "", "", "q", "r"]
BAD_TEXT = "\udcff"
NOTES = [*["", "why\0"] * 15, BAD_TEXT]
FINAL_STATES = (State.COMPLETED, State.FAILED, State.CANCELLED)
OPEN_STATES = (
    (State.PENDING, Detail.QUEUED),
    (State.PENDING, Detail.PAUSED),
    (State.RUNNING, Detail.LEASED),
    (State.RUNNING, Detail.SLEEPING),
    (State.RUNNING, Detail.WAITING_SIGNAL),
    (State.RUNNING, Detail.PAUSED),
    (State.RUNNING, Detail.STUCK),
)

Operation = tuple[Any, ...]
"""The name of a method, then its arguments."""

replace = msgspec.structs.replace


class Script:
    """The operations of one seed. ``is_shared``: sessions always have leases."""

    crash_limit = 1

    def __init__(self, seed: int, *, is_shared: bool) -> None:
        self.seed = seed
        self.random = rng = random.Random(seed)
        self.is_shared = is_shared
        self.now_us = 1_000
        self.opened = 0
        self.rows: dict[str, RunRow] = {}
        self.due_us: dict[str, int] = {}
        self.appended: list[Append] = []
        self.kinds: list[tuple[Callable[[], Operation], int]] = [
            (self.commit, 36),
            (self.claim, 8),
            (lambda: ("claim_run", self.session(), self.asked_id(), rng.random() < 0.3), 5),
            (self.open_session, 4),
            (lambda: ("close_session", self.session(), self.now_us, rng.random() < 0.6), 2),
            (lambda: ("renew_sessions", [self.session(), self.session()], self.now_us + 90), 3),
            (lambda: ("expire_sessions", self.now_us), 3),
            (lambda: ("release_runs", self.session(), [self.run_id()], self.now_us), 2),
            (lambda: ("unread", self.session()), 2),
            (lambda: ("inbox", self.asked_id()), 2),
            (lambda: ("poisoned", rng.randint(0, 2)), 4),
            (lambda: ("get_run", self.asked_id()), 2),
            (lambda: ("history", self.asked_id(), rng.randint(-1, 9)), 3),
            (self.list_runs, 2),
            (lambda: ("delete_runs", [self.asked_id(), *rng.choices(RUN_IDS, k=2)]), 2),
            (lambda: ("delete_finished", self.now_us - rng.randint(0, 300), rng.randint(0, 3)), 2),
            (self.put_queue, 2),
            (lambda: ("delete_queue", rng.choice(QUEUES[3:])), 1),
            (self.put_schedule, 2),
            (lambda: ("delete_schedule", rng.choice("st")), 1),
            (lambda: ("put_token", TokenRow(rng.choice((b"\0", b"t")), "*", "admin", self.now_us, "n")), 1),
            (lambda: ("delete_token", rng.choice((b"\0", b"t"))), 1),
            (lambda: ("forget", self.now_us - rng.randint(0, 300), rng.randint(0, 3)), 3),
            (self.look, 5),
        ]

    async def next(self, oracle: FullStore) -> Operation:
        """The next operation, given what the oracle holds."""
        page = await oracle.list_runs(RunQuery(limit=1_000))
        self.rows = {row.id: row for row in page.rows}
        self.due_us = {row.id: row.next_us or 0 for row in await oracle.list_schedules()}
        self.now_us += self.random.randint(0, 30)
        (make,) = self.random.choices([kind for kind, _ in self.kinds], [weight for _, weight in self.kinds])
        return make()

    def learn(self, operation: Operation, answer: object) -> None:
        """Take note of what came of an operation: what was not written, or is gone, is repeated by nobody."""
        if operation[0].startswith("delete_") or (operation[0] == "commit" and isinstance(answer, type)):
            self.appended.clear()

    def session(self) -> int:
        """Most of the time the latest, sometimes one that there is not yet."""
        latest = max(self.opened - 1, 0)
        return latest if self.random.random() < 0.7 else self.random.randint(0, latest + 1)

    def run_id(self) -> str:
        """Some run."""
        return self.random.choice(RUN_IDS)

    def asked_id(self) -> str:
        """Some run, or what cannot be one."""
        return BAD_TEXT if self.random.random() < 0.03 else self.run_id()

    def look(self) -> Operation:
        """Something that needs no argument."""
        names = ["next_wake", "count_runs", "list_queues", "list_schedules", "next_schedule", "list_sessions"]
        return (self.random.choice([*names, "list_tokens"]),)

    def open_session(self) -> Operation:
        """With a lease that is over soon or never, or with none."""
        self.opened += 1
        return "open_session", self.now_us, self.random.choice([40, 200, 10_000, 10_000 if self.is_shared else None])

    def claim(self) -> Operation:
        """By workers that can do this and that."""
        rng = self.random
        choice = Choice(
            rng.choice([None, None, (("x", "1"),), (("y", "1"), ("x", "1")), ()]),
            ("q", BAD_TEXT) if rng.random() < 0.03 else rng.choice([None, None, ("q",), ("r", "other"), ()]),
            rng.choice([("gpu",), ("gpu", "eu"), ()]),
        )
        if rng.random() < 0.03:
            names = (BAD_TEXT,)
            choice = rng.choice([Choice((("x", BAD_TEXT),)), Choice(queues=names), Choice(capabilities=names)])
        return "claim", self.session(), self.now_us, rng.randint(-1, 5), choice

    def list_runs(self) -> Operation:
        """A page, perhaps from the middle."""
        rng = self.random
        states = tuple(rng.sample(list(State), rng.randint(1, 3))) if rng.random() < 0.5 else ()
        query = RunQuery(rng.choice([None, None, "x", "y", BAD_TEXT]), states, rng.randint(0, 5))
        return "list_runs", query, rng.choice(list(self.rows)) if self.rows and rng.random() < 0.5 else None

    def put_queue(self) -> Operation:
        """A queue with tight limits."""
        rng = self.random
        numbers = [None, 1, 2]
        limits = (rng.choice(numbers), rng.choice(numbers), rng.choice([None, 1, 3]), rng.choice([20, 70]))
        return "put_queue", QueueRow(rng.choice(QUEUES[3:]), *limits, rng.choice([1, 2]), rng.random() < 0.2)

    def put_schedule(self) -> Operation:
        """A schedule that is due soon, or never."""
        next_us = self.random.choice([None, self.now_us + 10])
        return "put_schedule", ScheduleRow(self.random.choice("st"), '{"n":1}', next_us, self.random.random() < 0.3)

    def commit(self) -> Operation:
        """Some writes; an append never names a run that the same commit creates: nobody knows its key yet."""
        lengths = {run_id: row.length for run_id, row in self.rows.items()}
        writes: list[Any] = []
        for _ in range(self.random.randint(1, 5)):
            kind = self.random.random()
            if kind < 0.15:
                writes.append(self.post())
            elif kind < 0.2:
                writes.append(self.fire())
            elif kind < 0.25 and self.appended:
                writes.append(replace(self.random.choice(self.appended[-3:]), is_repeat=True))
            else:
                run_id = self.run_id()
                is_new = run_id not in lengths or self.random.random() < 0.15
                # What may get another beginning is appended to by nobody, before somebody takes it.
                is_new = is_new or (run_id in SINGLETONS and not self.rows[run_id].epoch)
                writes.append(self.create(run_id) if is_new else self.append(run_id, lengths))
        return "commit", writes

    def create(self, run_id: str) -> CreateRun:
        """A run of that id, of all kinds."""
        rng = self.random
        workflow = rng.choice("xy")
        state, detail = rng.choice(OPEN_STATES)
        singleton = rng.choice([None, "one", "two"]) if run_id in SINGLETONS else None
        events: tuple[AnyEvent, ...] = (created(self.now_us, workflow), *steps(1, rng.randint(0, 2)))
        # No engine makes circles, or children of nobody, but the answer is to be the same.
        parent = (run_id.rpartition("/")[0] or None) if rng.random() < 0.95 else rng.choice([*RUN_IDS, "nobody"])
        bad_field = rng.choice(["id", "workflow", "version", "parent", "queue", "share", "singleton"])
        bad = {bad_field: BAD_TEXT} if rng.random() < 0.02 else {}
        plain = create(
            run_id,
            self.session() if rng.random() < 0.5 else None,
            workflow=workflow,
            events=() if rng.random() < 0.02 else self.sealed(events, 0.1),
            state=state,
            detail=detail,
            parent=parent,
            queue=rng.choice(QUEUES),
            share=rng.choice(["", "s", "t\0"]),
            priority=rng.choice([0, 0, -3, 5]),
            requires=rng.choice([(), (), ("gpu",), ("eu", "gpu")]),
            wake_us=rng.choice([None, None, self.now_us + 40]),
            singleton=singleton,
            debounce=singleton is not None and rng.random() < 0.5,
        )
        return replace(plain, **bad)

    def append(self, run_id: str, lengths: dict[str, int]) -> Append:
        """The next events of that run; sometimes in the wrong place, or of an epoch that is over."""
        rng = self.random
        row = self.rows[run_id]
        epoch = row.epoch - (rng.random() < 0.1)
        first = lengths[run_id] + (rng.choice([-1, 1]) if rng.random() < 0.02 else 0)
        # Each append is another one, so that a repeat is only ever of itself.
        self.now_us += 1
        plain: list[AnyEvent] = [replace(step, at_us=self.now_us) for step in steps(first, rng.choice([0, 1, 1, 2]))]
        if plain and rng.random() < 0.01:
            plain[0] = replace(plain[0], name=BAD_TEXT)
            events: Events = tuple(plain)
        else:
            events = self.sealed(tuple(plain), 0.2)
        consumed = tuple(rng.sample(range(1, 5), rng.randint(0, 2))) if plain and rng.random() < 0.3 else ()
        head = None if row.state.is_final else self.head()
        write = Append(run_id, epoch, first, events, self.now_us, head, consumed)  # type: ignore[arg-type]
        if epoch == row.epoch:
            lengths[run_id] += len(plain)
            if head is not None:
                self.rows[run_id] = replace(row, state=head.state)
            if plain:
                self.appended.append(write)
        return write

    def sealed(self, events: tuple[AnyEvent, ...], chance: float) -> Events:
        """The events, perhaps as a segment."""
        if events and self.random.random() < chance:
            return Sealed(len(events), encode_segment(events))
        return events

    def head(self) -> Head | None:
        """What becomes of the run's row: mostly nothing."""
        rng = self.random
        kind = rng.random()
        if kind < 0.6:
            return None
        if kind < 0.7:
            return Head(rng.choice(FINAL_STATES), Detail.NONE)
        state, detail = rng.choice(OPEN_STATES)
        wake_us = rng.choice([None, self.now_us + rng.randint(-9, 99), NEVER_US])
        return Head(state, detail, wake_us, rng.random() < 0.6, rng.choice(NOTES))

    def post(self) -> Post:
        """A message; its id may have been there."""
        rng = self.random
        kind = rng.choice([MessageKind.SIGNAL, MessageKind.SIGNAL, *MessageKind])
        return Post(self.run_id(), rng.choice(["", "1", "2"]), kind, "na\0me", Payload(b"j1"), self.now_us)

    def fire(self) -> FireSchedule:
        """A schedule, mostly where it stands."""
        rng = self.random
        name = rng.choice("st")
        due_us = self.due_us.get(name, 5) + rng.choice([0, 0, 0, 1])
        run = None if rng.random() < 0.3 else self.create(self.run_id())
        return FireSchedule(name, due_us, rng.choice([None, due_us, due_us + 10]), run)
