"""Writes and events for the stores' tests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Append, Created, CreateRun, Head, RunRow, Store


def created(at_us: int = 100, workflow: str = "orders") -> ev.RunCreated:
    return ev.RunCreated(at_us, workflow, "1", Payload(b"j[]"))


def step(number: int, at_us: int = 200, size: int = 100) -> ev.StepCompleted:
    return ev.StepCompleted(at_us, "0", f"step-{number}", 1, b"12345678", Payload(b"j" + b"x" * size), 1, 7)


def steps(first: int, count: int = 1) -> tuple[AnyEvent, ...]:
    return tuple(step(number) for number in range(first, first + count))


def create(run_id: str, owner: int | None = None, workflow: str = "orders", **fields: object) -> CreateRun:
    plain = CreateRun(run_id, workflow, "1", State.PENDING, Detail.QUEUED, owner, (created(workflow=workflow),))
    return msgspec.structs.replace(plain, **fields)


def append(key: int, first: int, epoch: int = 1, count: int = 1, head: Head | None = None, at_us: int = 300) -> Append:
    return Append(key, epoch, first, steps(first, count), at_us, head)


def finish(key: int, first: int, epoch: int = 1, at_us: int = 900, state: State = State.COMPLETED) -> Append:
    return Append(key, epoch, first, (ev.RunCompleted(at_us, Payload(b"jnull")),), at_us, Head(state, Detail.NONE))


RUNNING = Head(State.RUNNING, Detail.LEASED)


async def add_run(store: Store, run_id: str, owner: int | None = None, workflow: str = "orders") -> int:
    """Create a run and return its key."""
    (outcome,) = await store.commit([create(run_id, owner, workflow)])
    assert isinstance(outcome, Created), outcome
    return outcome.key


async def add_finished(store: Store, run_id: str, at_us: int = 900) -> int:
    key = await add_run(store, run_id)
    await store.commit([finish(key, 1, epoch=0, at_us=at_us)])
    return key


def ids(rows: Sequence[RunRow]) -> list[str]:
    return [row.id for row in rows]
