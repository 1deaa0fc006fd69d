"""How writes travel: not too much at a time, and fit to be said twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from aeterna.durable.core import events as ev
from aeterna.durable.core.segment import decode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
    Exists,
    FencedOff,
    FireSchedule,
    MessageKind,
    Post,
    Posted,
    Refused,
    RunRow,
    Sealed,
)
from aeterna.durable.stores.remote import packing
from aeterna.durable.stores.remote.packing import of_repeat, parts
from aeterna.durable.wire.frames import (
    error_named,
    failure_from,
    failure_to,
    outcome_from,
    outcome_to,
    write_from,
    write_to,
)
from aeterna.kernel.errors import NonDeterminismError, RunNotFoundError, StoreError
from tests.wire.test_session import CLOCK, DONE, creation

ROW = RunRow(5, "a", "w", "1", State.PENDING, Detail.QUEUED, 1, 1, 1, 1, 9)


def big_step(name, size):
    return ev.StepCompleted(1, "", name, 1, b"", ev.Payload(b"b" + b"x" * size))


@given(st.lists(st.integers(1, 6_000_000), min_size=1, max_size=8))
def test_a_large_append_travels_in_pieces_that_are_the_same_together(sizes):
    events = tuple(big_step(str(number), size) for number, size in enumerate(sizes))
    write = Append(5, 1, 10, events, 1, DONE, (3,))
    pieces = [piece for part in parts([write]) for _, piece in part]
    first = 10
    found = []
    for piece in pieces:
        assert isinstance(piece.events, Sealed)
        assert piece.first == first
        first += len(piece.events)
        found += decode_segment(piece.events.body)
        assert len(piece.events.body) <= packing.BATCH_BYTES or len(piece.events) == 1
    assert tuple(found) == events
    assert [(piece.head, piece.consumed) for piece in pieces[:-1]] == [(None, ())] * (len(pieces) - 1)
    assert (pieces[-1].head, pieces[-1].consumed) == (DONE, (3,))


def test_parts_keep_the_order_and_the_places():
    writes = [
        creation("a"),
        Append(1, 1, 1, (), 1, DONE),
        Append(1, 1, 1, Sealed(1, b"x" * 7_000_000), 1),
        Post("a", "", MessageKind.SIGNAL, "go", ev.Payload(b"j" * 2_000_000), 1),
        Post("a", "mine", MessageKind.SIGNAL, "go", ev.Payload(b"j1"), 1),
        FireSchedule("s", 1, 2, None),
    ]
    found = parts(writes)
    assert [[index for index, _ in part] for part in found] == [[0, 1, 2], [3, 4, 5]]
    posts = [write for part in found for _, write in part if isinstance(write, Post)]
    assert posts[0].id
    assert posts[1].id == "mine"
    assert parts([]) == []


def test_every_write_and_outcome_survives_the_wire():
    posted = Post("a", "i", MessageKind.CANCEL, "why", ev.Payload(b"jnull"), 3)
    fired = FireSchedule("s", 1, None, creation("b", parent="p", wake_us=7, singleton="one"))
    for write in (posted, FireSchedule("s", 1, 2, None), fired, creation("c", 9), Append(1, 2, 3, (), 4)):
        assert write_from(write_to(write, 9), 9) == write
    foreign = creation("c", 8)
    assert write_from(write_to(foreign, 9), 9) == structs.replace(foreign, owner=None)
    for outcome in (
        Posted(3, 4, is_duplicate=True),
        Posted(3, None),
        Refused(None),
        Refused(ROW),
        Exists(ROW),
        Created(1, 2),
        Appended(),
        FencedOff(),
    ):
        assert outcome_from(outcome_to(outcome)) == outcome


def test_errors_keep_their_class_where_it_can_be_made_again():
    assert type(failure_from(failure_to(RunNotFoundError("no run")))) is RunNotFoundError
    assert str(failure_from(failure_to(RunNotFoundError("no run")))) == "no run"
    other = failure_from(failure_to(NonDeterminismError("a", "b", "c")))
    assert type(other) is StoreError
    assert "NonDeterminismError" in str(other)
    assert type(error_named("os", "no class of ours")) is StoreError
    assert "ZeroDivisionError" in str(failure_from(failure_to(ZeroDivisionError("x"))))


def test_a_creation_that_was_said_twice_finds_itself():
    write = creation("a", 9)
    created_us = write.events[0].at_us
    same = Exists(RunRow(5, "a", "w", "1", State.PENDING, Detail.QUEUED, created_us, 1, 1, 1, 9))
    assert of_repeat(write, same) == Created(5, 1)
    assert of_repeat(write, Exists(ROW)) == Exists(ROW)
    assert of_repeat(write, Created(5, 1)) == Created(5, 1)
    assert of_repeat(Append(1, 1, 1, (), CLOCK.now_us()), FencedOff()) == FencedOff()
