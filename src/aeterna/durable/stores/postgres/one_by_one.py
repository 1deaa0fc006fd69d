"""Carries out one write, inside a transaction, and finds out exactly what became of it.

Where the connection broke while the same was being done (``is_repeat``), whoever was here first is recognized by what
it wrote: the events of an append or a creation, the moment of a message, the new time of a schedule."""

from __future__ import annotations

from typing import assert_never

from aeterna.durable.core.segment import decode_segment
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
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
from aeterna.durable.stores.creations import body_of, events_of
from aeterna.durable.stores.postgres.connections import Session, columns
from aeterna.durable.stores.postgres.plan import Extension, creation_values
from aeterna.durable.stores.postgres.rows import from_db, maybe_to_db, run_row, to_db
from aeterna.kernel.errors import InvariantError


async def carry_out_one(session: Session, namespace: int, day: int, write: Write) -> Outcome:
    """The outcome of ``write``; raises `InvariantError` for an append that does not fit."""
    match write:
        case CreateRun():
            return await _create(session, namespace, day, write)
        case Append():
            return await _append(session, namespace, write)
        case Post():
            return await _post(session, namespace, write)
        case FireSchedule():
            return await _fire(session, namespace, day, write)
        case _:
            assert_never(write)


async def _create(session: Session, namespace: int, day: int, write: CreateRun) -> Outcome:
    made = await session.rows("create_runs", namespace, day, *columns([creation_values(write)], 19))
    epoch = 0 if write.owner is None else 1
    if made:
        session.made.add(made[0][1])
        return Created(made[0][1], epoch)
    row = await _find(session, namespace, write.id)
    if row is not None and session.is_repeat and await _was_made_by(session, row, write, epoch):
        session.made.add(row.key)
        return Created(row.key, epoch)
    run_id = write.id if row is not None else await _holder(session, namespace, write)
    if run_id is None:
        # The run that was in the way ended, or was deleted, in this moment.
        return await _create(session, namespace, day, write)
    if write.debounce and write.singleton is not None:
        await _replace_start(session, namespace, run_id, write, write.singleton)
        row = None
    row = row or await _find(session, namespace, run_id)
    return Exists(row) if row is not None else await _create(session, namespace, day, write)


async def _holder(session: Session, namespace: int, write: CreateRun) -> str | None:
    """The id of the unfinished run that has the singleton."""
    if write.singleton is None:
        return None
    holders = await session.rows("lock_singleton", namespace, to_db(write.singleton))
    return from_db(holders[0][0]) if holders else None


async def _replace_start(session: Session, namespace: int, run_id: str, write: CreateRun, singleton: str) -> None:
    """Give a run that nobody has taken yet the beginning of this one."""
    count = len(write.events)
    values = (to_db(run_id), to_db(singleton), write.wake_us, count)
    for key, day in await session.rows("replace_start", namespace, *values):
        await session.rows("drop_events", day, key)
        await session.rows("insert_events", day, key, count, body_of(write.events))


async def _was_made_by(session: Session, row: RunRow, write: CreateRun, epoch: int) -> bool:
    if row.key in session.made or row.epoch < epoch:
        return False
    found = await session.rows("tail", row.key, 0)
    return bool(found) and bytes(found[0][2]) == body_of(write.events)


async def _append(session: Session, namespace: int, write: Append) -> Outcome:
    found = await session.rows("lock_run", namespace, write.key)
    if not found or found[0][1] != write.epoch:
        return FencedOff()
    run_id, epoch, length = from_db(found[0][0]), found[0][1], found[0][2]
    if write.first != length:
        if (write.is_repeat or session.is_repeat) and await _is_there(session, write):
            return Appended()
        raise InvariantError(f"run {run_id!r} has {length} events; an append of epoch {epoch} starts at {write.first}")
    releases = write.head is not None and (write.head.release or write.head.state.is_final)
    extension = Extension(write, write.events, write.head, write.at_us, releases)
    extension.fix()
    consumed = [(write.key, number) for number in write.consumed]
    values = columns([extension.values], 12)
    await session.rows("append", namespace, *values, *columns(consumed, 2))
    return Appended()


async def _is_there(session: Session, write: Append) -> bool:
    """The history has the events of the append where it would put them."""
    segments = await session.rows("tail", write.key, write.first)
    if not segments:
        return False
    events = [event for _, _, body in segments for event in decode_segment(body)]
    mine = events_of(write.events)
    start = write.first - segments[0][0]
    return bool(mine) and events[start : start + len(mine)] == mine


async def _post(session: Session, namespace: int, write: Post) -> Outcome:
    if session.is_repeat:
        row = await _find(session, namespace, write.run_id)
        if row is not None:
            values = (to_db(write.id), str(write.kind), to_db(write.name), write.at_us)
            for (number,) in await session.rows("find_posted", row.key, *values):
                return Posted(number, row.owner)
    texts = [to_db(text) for text in (write.run_id, write.id, write.kind, write.name)]
    rows = await session.rows("post", namespace, *texts, write.payload, write.at_us)
    if rows:
        number, owner = rows[0]
        return Posted(number, owner)
    row = await _find(session, namespace, write.run_id)
    if row is None:
        return Refused(None)
    if not row.state.is_final or write.kind is MessageKind.SIGNAL:
        # A signal that is sent again because its answer was lost has arrived, also when the run has ended since.
        for (number,) in await session.rows("find_message", row.key, to_db(write.id)):
            return Posted(number, row.owner, is_duplicate=True)
    return Refused(row)


async def _fire(session: Session, namespace: int, day: int, write: FireSchedule) -> Outcome:
    name, run = to_db(write.schedule), write.run
    if session.is_repeat:
        found = await session.rows("schedule_position", namespace, name)
        if found and found[0][0] == write.next_us != write.due_us:
            if run is None:
                return Appended()
            if from_db(found[0][1]) == run.id:
                return await _create(session, namespace, day, run)
    moved = await session.rows(
        "move_schedule", namespace, name, write.due_us, write.next_us, None if run is None else maybe_to_db(run.id)
    )
    if not moved:
        return FencedOff()
    return Appended() if run is None else await _create(session, namespace, day, run)


async def _find(session: Session, namespace: int, run_id: str) -> RunRow | None:
    for values in await session.rows("runs_by_id", namespace, [to_db(run_id)]):
        return run_row(values, session.place)
    return None
