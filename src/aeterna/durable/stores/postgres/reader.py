"""What is read of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.core.segment import decode_segment
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import Message, MessageKind, Page, RunQuery
from aeterna.durable.stores.postgres.connections import Session
from aeterna.durable.stores.postgres.faults import corrupt
from aeterna.durable.stores.postgres.place import Place
from aeterna.durable.stores.postgres.rows import from_db, maybe_to_db, run_row, to_db
from aeterna.kernel.errors import StoreCorruptError

_KEY_MAX = 2**63 - 1
_START_MAX = 2**31 - 1


async def history(session: Session, namespace: int, run_id: str, start: int) -> list[AnyEvent]:
    """See `Store.history`; raises `StoreCorruptError` rather than return a history with a hole."""
    start = min(max(start, 0), _START_MAX)
    segments = await session.rows("history", namespace, to_db(run_id), start)
    if not segments:
        return []
    return join_segments(session.place, run_id, start, segments)


def join_segments(place: Place, run_id: str, start: int, segments: Sequence[Sequence[Any]]) -> list[AnyEvent]:
    """The events from number ``start`` on, of rows (length of the history, seq, events, body) in order."""
    length: int = segments[0][0]
    if start >= length:
        return []
    if segments[0][1] is None:
        raise corrupt(place, "read", f"run {run_id!r}: its {length} events are not there")
    first: int = segments[0][1]
    position = min(first, start)
    events: list[AnyEvent] = []
    for _, seq, count, body in segments:
        if seq != position:
            raise corrupt(
                place, "read", f"run {run_id!r}: event {position} is missing, the next segment starts at {seq}"
            )
        events += _decode(place, run_id, seq, body)
        position += count
        if len(events) != position - first:
            raise corrupt(place, "read", f"run {run_id!r}: segment {seq} should hold {count} events")
    if position != length:
        raise corrupt(place, "read", f"run {run_id!r}: its history ends at {position} and should have {length} events")
    return events[start - first :]


def _decode(place: Place, run_id: str, seq: int, body: bytes) -> list[AnyEvent]:
    try:
        return decode_segment(body)
    except StoreCorruptError as error:
        raise corrupt(place, "read", f"run {run_id!r}, segment {seq}: {error}") from error


async def list_runs(session: Session, namespace: int, query: RunQuery) -> Page:
    """See `Store.list_runs`."""
    limit = max(query.limit, 0)
    before = _KEY_MAX if query.before is None else query.before
    states = [str(state) for state in query.states] or None
    found = await session.rows("list_runs", namespace, before, maybe_to_db(query.workflow), states, limit + 1)
    rows = tuple(run_row(values, session.place) for values in found[:limit])
    return Page(rows, rows[-1].key if rows and len(found) > limit else None)


async def count_runs(session: Session, namespace: int) -> dict[State, int]:
    """See `Store.count_runs`."""
    counts = await session.rows("count_runs", namespace)
    try:
        return {State(state): count for state, count in counts}
    except ValueError as error:
        raise corrupt(session.place, "read", str(error)) from error


async def inbox(session: Session, namespace: int, run_id: str) -> list[Message]:
    """See `Store.inbox`."""
    return [
        Message(number, from_db(id_), MessageKind(kind), from_db(name), Payload(bytes(payload)), at_us)
        for number, id_, kind, name, payload, at_us in await session.rows("inbox", namespace, to_db(run_id))
    ]
