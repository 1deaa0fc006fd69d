"""Carries out batches of writes: the parts of a plan with a few statements each, or write by write."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from aeterna.durable.stores.contract import (
    Appended,
    Created,
    CreateRun,
    Exists,
    FencedOff,
    Outcome,
    RunRow,
    Write,
)
from aeterna.durable.stores.postgres.connections import Session, columns
from aeterna.durable.stores.postgres.one_by_one import carry_out_one
from aeterna.durable.stores.postgres.plan import Alone, Group, Plan
from aeterna.durable.stores.postgres.rows import run_row, to_db

DAY_US = 86_400_000_000
_CREATION_COLUMNS, _EXTENSION_COLUMNS = 19, 12
_APPENDED, _FENCED_OFF = Appended(), FencedOff()


class _OtherThanPlannedError(Exception):
    """The order of the writes matters here: they are to be carried out one by one."""


async def commit(session: Session, namespace: int, day: int, plan: Plan) -> list[Outcome]:
    """See `Store.commit`. After a broken connection (``is_repeat``) each write is looked at whether it was done."""
    if plan.is_certain and not session.is_repeat:
        try:
            if (
                len(plan.parts) == 1
                and isinstance(part := plan.parts[0], Group)
                and not (part.creations and part.extensions)
            ):
                return await _carry_out_alone(session, namespace, day, part, plan.writes)
            async with session.transaction():
                return await _carry_out(session, namespace, day, plan)
        except (_OtherThanPlannedError, asyncpg.NotNullViolationError):
            pass  # Nothing is written.
    async with session.transaction():
        if plan.is_certain and session.is_repeat:
            return await _carry_out_again(session, namespace, day, plan)
        return [await carry_out_one(session, namespace, day, write) for write in plan.writes]


async def _carry_out_alone(
    session: Session, namespace: int, day: int, group: Group, writes: Sequence[Write]
) -> list[Outcome]:
    """A group of one statement, which is a transaction of its own."""
    outcomes: dict[int, Outcome] = {}
    await _extend(session, namespace, group, outcomes)
    await _create(session, namespace, day, group, outcomes)
    return [outcomes[place] for place in range(len(writes))]


async def _carry_out(session: Session, namespace: int, day: int, plan: Plan) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    for part in plan.parts:
        match part:
            case Group():
                # Creations first: who ends a session locks it, and then its runs, in this order, too.
                await _create(session, namespace, day, part, outcomes)
                await _extend(session, namespace, part, outcomes)
            case Alone(place, write):
                outcomes[place] = await carry_out_one(session, namespace, day, write)
    return [outcomes[place] for place in range(len(plan.writes))]


async def _carry_out_again(session: Session, namespace: int, day: int, plan: Plan) -> list[Outcome]:
    """As `_carry_out`, write by write, each of which may have been done. What was written together is looked for
    together."""
    outcomes: dict[int, Outcome] = {}
    for part in plan.parts:
        match part:
            case Group():
                for place, write, _ in part.creations:
                    outcomes[place] = await carry_out_one(session, namespace, day, write)
                for key in sorted(part.extensions):
                    extension = part.extensions[key]
                    outcome = await carry_out_one(session, namespace, day, extension.as_write())
                    outcomes.update(dict.fromkeys(extension.places, outcome))
            case Alone(place, write):
                outcomes[place] = await carry_out_one(session, namespace, day, write)
    return [outcomes[place] for place in range(len(plan.writes))]


async def _extend(session: Session, namespace: int, group: Group, outcomes: dict[int, Outcome]) -> None:
    if not group.extensions:
        return
    # Everybody locks runs in the order of their keys.
    extensions = [group.extensions[key] for key in sorted(group.extensions)]
    values = columns([extension.values for extension in extensions], _EXTENSION_COLUMNS)
    consumed = [(each.write.key, number) for each in extensions for number in each.consumed]
    rows = await session.rows("append", namespace, *values, *columns(consumed, 2))
    written = {key for (key,) in rows}
    if len(written) == len(extensions):
        for extension in extensions:
            for place in extension.places:
                outcomes[place] = _APPENDED
        return
    for (key, _), extension in group.extensions.items():
        for place in extension.places:
            outcomes[place] = _APPENDED if key in written else _FENCED_OFF


async def _create(session: Session, namespace: int, day: int, group: Group, outcomes: dict[int, Outcome]) -> None:
    creations = group.creations
    if not creations:
        return
    values = columns([each for _, _, each in creations], _CREATION_COLUMNS)
    made = dict(await session.rows("create_runs", namespace, day, *values))
    missing: list[tuple[int, CreateRun]] = []
    for number, (place, write, _) in enumerate(creations, 1):
        key = made.get(number)
        if key is None:
            missing.append((place, write))
        else:
            outcomes[place] = Created(key, 0 if write.owner is None else 1)
    if missing:
        found = await find_runs(session, namespace, [write.id for _, write in missing])
        touched = {key for key, _ in group.extensions}
        for place, write in missing:
            row = found.get(write.id)
            if row is None or row.key in touched:
                # It was deleted in this moment, or its row depends on what the batch does before.
                raise _OtherThanPlannedError
            outcomes[place] = Exists(row)


async def find_runs(session: Session, namespace: int, run_ids: Sequence[str]) -> dict[str, RunRow]:
    """The rows of those that exist, by id."""
    rows = await session.rows("runs_by_id", namespace, [to_db(run_id) for run_id in run_ids])
    return {row.id: row for row in (run_row(values, session.place) for values in rows)}
