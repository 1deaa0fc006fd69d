"""Records survive the wire, whatever is in them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Choice,
    Message,
    MessageKind,
    Notice,
    NoticeKind,
    QueueRow,
    QueueState,
    RunRow,
    ScheduleRow,
    Sealed,
    SessionRow,
)
from aeterna.durable.wire import convert
from aeterna.durable.wire.generated import records_pb2 as pb
from aeterna.kernel.errors import SerializationError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**62), 2**62)
perhaps = st.none() | numbers
ROWS = st.builds(
    RunRow,
    key=numbers, id=texts, workflow=texts, version=texts, state=st.sampled_from(State), detail=st.sampled_from(Detail),
    created_us=numbers, updated_us=numbers, length=numbers, epoch=numbers, owner=perhaps, wake_us=perhaps,
    finished_us=perhaps, parent=st.none() | texts, note=texts, queue=texts, priority=st.integers(-(2**31), 2**31 - 1),
    share=texts, requires=st.lists(texts).map(tuple), crashes=st.integers(0, 2**31 - 1),
)  # fmt: skip
MESSAGES = st.builds(
    Message, number=numbers, id=texts, kind=st.sampled_from(MessageKind), name=texts,
    payload=st.binary(max_size=20).map(ev.Payload), at_us=numbers,
)  # fmt: skip
PLACES = st.lists(st.tuples(texts, texts)).map(tuple)
NAMES = st.lists(texts).map(tuple)
CHOICES = st.builds(Choice, workflows=st.none() | PLACES, queues=st.none() | NAMES, capabilities=NAMES)
COUNTS = st.none() | st.integers(1, 2**40)
QUEUES = st.builds(
    QueueRow, name=texts, concurrency=COUNTS, concurrency_per_share=COUNTS, rate=COUNTS,
    rate_period_us=st.integers(1, 2**40), burst=st.integers(1, 2**40), is_paused=st.booleans(),
)  # fmt: skip

CASES: list[tuple[Any, Any, Any]] = [
    (ROWS, convert.row_to, convert.row_from),
    (MESSAGES, convert.message_to, convert.message_from),
    (st.builds(Notice, st.sampled_from(NoticeKind), texts), convert.notice_to, convert.notice_from),
    (CHOICES, convert.choice_to, convert.choice_from),
    (
        st.builds(SessionRow, numbers, texts, numbers, numbers, perhaps, perhaps, texts, texts, numbers),
        convert.session_to,
        convert.session_from,
    ),
    (QUEUES, convert.queue_to, convert.queue_from),
    (
        st.builds(QueueState, QUEUES, numbers, numbers, perhaps, numbers),
        convert.queue_state_to,
        convert.queue_state_from,
    ),
    (st.builds(ScheduleRow, texts, texts, perhaps, st.booleans(), texts), convert.schedule_to, convert.schedule_from),
    (
        st.builds(ev.ErrorRecord, texts, texts, texts, st.none() | st.binary(max_size=9).map(ev.Payload)),
        convert.error_to,
        convert.error_from,
    ),
]


@pytest.mark.parametrize(("records", "to", "back"), CASES, ids=lambda value: getattr(value, "__name__", ""))
@given(data=st.data())
def test_a_record_comes_back_from_its_bytes(records, to, back, data):
    record = data.draw(records)
    message = to(record)
    assert back(type(message).FromString(message.SerializeToString())) == record


def test_events_come_back_and_sealed_ones_are_passed_on():
    events = [ev.RunCreated(1, "w", "1", ev.Payload(b"j[]")), ev.RunStarted(2, 7)]
    segment = convert.segment_to(events)
    assert convert.events_from(segment) == events
    assert convert.segment_to(Sealed(segment.count, segment.body)) == segment
    assert convert.events_from(convert.segment_to(())) == []


@given(st.binary(max_size=60), st.integers(0, 3))
def test_bytes_that_are_no_segment_are_refused(body, count):
    try:
        events = convert.events_from(pb.Segment(count=count, body=body))
    except SerializationError:
        return
    assert len(events) == count


@given(st.integers(-5, 40))
def test_numbers_that_name_nothing_are_refused(number):
    for back, known in ((convert.state_from, State), (convert.kind_from, MessageKind)):
        if 0 < number <= len(known):
            assert back(number) in known
        else:
            with pytest.raises(SerializationError, match=f"{number} is none"):
                back(number)
    assert convert.notice_from(pb.Notice(kind=number)) is None or 0 < number <= len(NoticeKind)


def test_every_state_detail_and_kind_has_a_place():
    assert {convert.state_from(convert.STATES[state]) for state in State} == set(State)
    assert all(convert.detail_from(str(detail)) is detail for detail in Detail)
    with pytest.raises(SerializationError, match="'resting' is none"):
        convert.detail_from("resting")
    assert all(convert.kind_from(convert.kind_to(kind)) is kind for kind in MessageKind)
    assert msgspec.structs.fields(RunRow)[-1].name == "crashes", "a new field of a row needs a place in the message"
