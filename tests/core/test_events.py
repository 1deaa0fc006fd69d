"""Events and their storage format: closed, append-only, readable for ever."""

from __future__ import annotations

import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core import events as ev
from aeterna.durable.core import segment
from aeterna.durable.core.segment import decode_segment, encode_segment
from aeterna.kernel.errors import StoreCorruptError, StoreTooNewError
from tests.core.samples import EVENTS, KINDS, random_events

TAGS = {
    "RunCreated": 1,
    "RunStarted": 2,
    "StepCompleted": 3,
    "StepFailed": 4,
    "StepRetrying": 5,
    "TimerStarted": 6,
    "TimerFired": 7,
    "ChildStarted": 8,
    "ChildCompleted": 9,
    "ChildFailed": 10,
    "CancelRequested": 11,
    "RunCompleted": 12,
    "RunFailed": 13,
    "RunCancelled": 14,
    "WaitAbandoned": 15,
    "SignalReceived": 16,
    "RunPaused": 17,
    "RunResumed": 18,
    "StepHeartbeat": 19,
}


def test_there_is_a_sample_of_every_event() -> None:
    assert [type(event) for event in EVENTS] == list(KINDS)


def test_type_tags_never_change() -> None:
    """A tag is the storage format; a new type gets a new one, and an old one is never used again."""
    assert {kind.__name__: kind.__struct_config__.tag for kind in KINDS} == TAGS


def test_every_event_is_frozen() -> None:
    for event in EVENTS:
        with pytest.raises(AttributeError, match="immutable"):
            event.at_us = 0


def test_a_history_without_the_newest_fields_is_read() -> None:
    """It was written before there were any."""
    created = bytes.fromhex("0191980101a56f72646572a131c4086a5b5b5d2c7b7d5da6706172656e74a4332e3131a0")
    assert decode_segment(created) == [EVENTS[0]]


def test_field_order_never_changes() -> None:
    """The bytes of this release, written down: what was stored once must be read for ever."""
    assert encode_segment([EVENTS[0], EVENTS[2]]).hex() == (
        "01929901"
        "01"
        "a56f72646572"
        "a131"
        "c4086a5b5b5d2c7b7d5d"
        "a6706172656e74"
        "a4332e3131"
        "a0"
        "a0"
        "9903"
        "03"
        "a3302e31"
        "a56665746368"
        "02"
        "c4083132333435363738"
        "c4026a31"
        "02"
        "63"
    )


@given(st.lists(random_events(), max_size=8))
def test_what_is_written_is_what_is_read(events: list[ev.AnyEvent]) -> None:
    assert decode_segment(encode_segment(events)) == events


def test_fields_added_later_have_defaults_for_old_records() -> None:
    """A record that ends before a field with a default is still readable."""
    body = bytes([ev.HISTORY_VERSION]) + msgspec.msgpack.encode([[3, 1, "0", "fetch", 1, b"f", b"j1"]])
    assert decode_segment(body) == [ev.StepCompleted(1, "0", "fetch", 1, b"f", ev.Payload(b"j1"), 1, 0)]


@pytest.mark.parametrize(
    "body", [b"", bytes([ev.HISTORY_VERSION]), bytes([ev.HISTORY_VERSION]) + b"\x91\x91\x63", bytes([1]) + b"\xc1"]
)
def test_damaged_bytes_are_called_damaged(body: bytes) -> None:
    with pytest.raises(StoreCorruptError, match="history segment"):
        decode_segment(body)


@given(st.binary(max_size=40))
def test_no_bytes_do_worse_than_a_clear_error(body: bytes) -> None:
    try:
        decode_segment(body)
    except (StoreCorruptError, StoreTooNewError):
        return


def test_a_later_version_is_refused() -> None:
    with pytest.raises(StoreTooNewError, match=f"version {ev.HISTORY_VERSION + 1} is newer than {ev.HISTORY_VERSION}"):
        decode_segment(bytes([ev.HISTORY_VERSION + 1]) + b"\x90")


def test_damaged_text_is_refused_like_all_other_damage():
    body = encode_segment([ev.RunCancelled(1, "because")])
    with pytest.raises(StoreCorruptError, match="cannot be read"):
        decode_segment(body.replace(b"because", b"\xa5ecause"))


def test_an_older_version_goes_through_its_up_casters() -> None:
    """Version 0 of this test called a timer by its seconds; the up-caster turns the raw array into today's."""

    def in_microseconds(raw: segment.RawEvent) -> segment.RawEvent:
        return [*raw[:-1], raw[-1] * 1_000_000] if raw[0] == 6 else raw

    body = bytes([0]) + msgspec.msgpack.encode([[6, 1, "0", "sleep", 1, 3], [7, 2, "0", "sleep", 1]])
    expected = [ev.TimerStarted(1, "0", "sleep", 1, 3_000_000), ev.TimerFired(2, "0", "sleep", 1)]
    assert decode_segment(body, {0: in_microseconds}) == expected


def test_a_version_without_an_up_caster_is_called_unreadable() -> None:
    with pytest.raises(StoreCorruptError, match="version 0"):
        decode_segment(bytes([0]) + msgspec.msgpack.encode([[7, 2, "0", "sleep", 1]]))


def test_an_up_caster_that_makes_no_event_is_found_out() -> None:
    body = bytes([0]) + msgspec.msgpack.encode([[7, 2, "0", "sleep", 1]])
    with pytest.raises(StoreCorruptError, match="cannot be read"):
        decode_segment(body, {0: lambda raw: [99]})


def test_every_event_has_a_docstring() -> None:
    assert all(kind.__doc__ and typing.get_type_hints(kind) for kind in KINDS)
