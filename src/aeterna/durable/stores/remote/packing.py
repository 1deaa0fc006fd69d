"""Writes as they travel to a server: encoded, in batches of a size that every frame holds, and fit to be said twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from aeterna.durable.core.events import AnyEvent, RunCreated
from aeterna.durable.core.segment import encode_segment
from aeterna.durable.stores.contract import Append, Created, CreateRun, Exists, Outcome, Post, Sealed, Write
from aeterna.kernel.ids import new_run_id

BATCH_BYTES = 8 * 1024 * 1024
"""Writes beyond so much travel in several batches, each a transaction of its own."""

Part = list[tuple[int, Write]]


def parts(writes: Sequence[Write]) -> list[Part]:
    """The writes, each with its index; a very large append is several, the last of which has its head."""
    found: list[Part] = []
    part: Part = []
    size = 0
    for index, write in enumerate(writes):
        for piece, bytes_ in _pieces(write):
            if part and size + bytes_ > BATCH_BYTES:
                found.append(part)
                part, size = [], 0
            part.append((index, piece))
            size += bytes_
    if part:
        found.append(part)
    return found


def _pieces(write: Write) -> Iterator[tuple[Write, int]]:
    if isinstance(write, Append):
        events = write.events
        if isinstance(events, Sealed):
            yield write, len(events.body)
        elif not events:
            yield write, 0
        else:
            yield from _append(write, events)
    elif isinstance(write, Post):
        # One that has no id gets one: said twice, it must not count twice.
        yield (write if write.id else structs.replace(write, id=new_run_id())), len(write.payload)
    elif isinstance(write, CreateRun) and not isinstance(write.events, Sealed):
        yield write, sum(len(event.arguments) for event in write.events if isinstance(event, RunCreated)) + 500
    else:
        yield write, 500


def _append(write: Append, events: tuple[AnyEvent, ...]) -> Iterator[tuple[Write, int]]:
    body = encode_segment(events)
    if len(body) <= BATCH_BYTES or len(events) == 1:
        yield structs.replace(write, events=Sealed(len(events), body)), len(body)
        return
    middle = len(events) // 2
    yield from _append(structs.replace(write, head=None, consumed=()), events[:middle])
    yield from _append(structs.replace(write, first=write.first + middle), events[middle:])


def of_repeat(write: Write, outcome: Outcome) -> Outcome:
    """What the outcome of a write that was said twice means: a creation finds itself."""
    if isinstance(write, CreateRun) and isinstance(outcome, Exists) and not isinstance(write.events, Sealed):
        row = outcome.row
        if row.id == write.id and row.created_us == write.events[0].at_us and row.owner == write.owner:
            return Created(row.key, row.epoch)
    return outcome
