"""SRP frames: whatever comes in, whole frames or a named fault come out, and nothing else."""

from __future__ import annotations

import itertools
import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.handover import frames
from aeterna.handover.frames import (
    CHUNK_BYTES_MAX,
    HEADER_BYTES,
    MAGIC,
    VERSION,
    Decoder,
    Flags,
    Frame,
    FrameError,
    Kind,
)
from aeterna.handover.frames import FrameFault as Fault

kinds = st.one_of(st.sampled_from(Kind), st.integers(0, 255))
frame_lists = st.lists(st.builds(Frame, kinds, st.binary(max_size=64), st.integers(0, 0xFFFF)), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def encoded(wanted: list[Frame]) -> bytes:
    return b"".join(frames.encode(frame.kind, frame.payload, frame.flags) for frame in wanted)


def header(*, length: int = 8, magic: int = MAGIC, version: int = VERSION, kind: int = 1, flags: int = 0) -> bytes:
    return struct.pack(">IIBBH", length, magic, version, kind, flags)


@given(frame_lists, st.lists(st.integers(0, 600), max_size=12))
def test_frames_arrive_as_they_were_sent_wherever_the_stream_is_cut(wanted: list[Frame], cuts: list[int]) -> None:
    data = encoded(wanted)
    decoder, found = Decoder(), []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        found += decoder.feed(data[start:end])
    assert found == wanted
    assert decoder.is_empty


@given(frame_lists)
def test_frames_arrive_byte_by_byte(wanted: list[Frame]) -> None:
    decoder, found = Decoder(), []
    for byte in encoded(wanted):
        found += decoder.feed(bytes([byte]))
    assert found == wanted


@given(st.dictionaries(st.text(), values), st.sampled_from(sorted(set(Kind) - frames.BULK)))
def test_an_object_comes_back_as_it_was(body: dict[str, object], kind: Kind) -> None:
    (frame,) = Decoder().feed(frames.encode_json(kind, body, Flags.OPTIONAL))
    assert frame.json() == body
    assert frame.kind is kind or frame.kind == kind
    assert frame.is_optional


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_whatever_is_fed_in_gives_frames_or_a_fault(pieces: list[bytes]) -> None:
    decoder, found = Decoder(), []
    with suppress(FrameError):
        for piece in pieces:
            found += decoder.feed(piece)
    assert b"".join(frames.encode(each.kind, each.payload, each.flags) for each in found) in b"".join(pieces)


@given(frame_lists.filter(bool), st.integers(0, 11), st.integers(1, 255))
def test_a_changed_header_changes_no_earlier_frame(wanted: list[Frame], place: int, change: int) -> None:
    """A bit that flips in the last frame's header: what came before is complete."""
    data = bytearray(encoded(wanted))
    start = len(encoded(wanted[:-1]))
    data[start + place] ^= change
    decoder = Decoder()
    assert decoder.feed(bytes(data[:start])) == wanted[:-1]
    try:
        after = decoder.feed(bytes(data[start:]))
    except FrameError:
        return
    assert len(after) <= 1 or place < 4  # a shorter length leaves bytes that are taken for another header


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (header(magic=0xAE7E2025), Fault.BAD_MAGIC),
        (b"GET / HTTP/1.1\r\n", Fault.BAD_MAGIC),
        (header(version=2), Fault.BAD_VERSION),
        (header(version=0), Fault.BAD_VERSION),
        (header(length=7), Fault.TOO_SHORT),
        (header(length=0), Fault.TOO_SHORT),
        (header(length=8 + CHUNK_BYTES_MAX + 1), Fault.TOO_LONG),
        (header(length=0xFFFFFFFF), Fault.TOO_LONG),
    ],
)
def test_a_bad_header_is_refused_before_its_payload_comes(data: bytes, fault: Fault) -> None:
    with pytest.raises(FrameError) as caught:
        Decoder().feed(data)
    assert caught.value.fault is fault
    assert str(fault) in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [b"[]", b"1", b'"text"', b"null", b"{", b"\xff\xfe", b"{'a': 1}", b"[" * 200_000, b'{"a":' * 200_000, b"1" * 5_000],
    ids=lambda payload: repr(payload[:8]),
)
def test_a_payload_that_is_no_object_is_a_fault_and_not_a_crash(payload: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        Frame(Kind.HELLO, payload).json()
    assert caught.value.fault is Fault.NOT_JSON


def test_an_empty_payload_is_an_empty_object() -> None:
    assert Frame(Kind.PING).json() == {}


def test_the_largest_payload_arrives_and_one_byte_more_does_not() -> None:
    payload = bytes(CHUNK_BYTES_MAX)
    (frame,) = Decoder().feed(frames.encode(Kind.CHUNK, payload))
    assert len(frame.payload) == CHUNK_BYTES_MAX
    with pytest.raises(FrameError):
        Decoder().feed(frames.encode(Kind.CHUNK, payload + b"x"))


def test_a_decoder_can_be_made_stricter() -> None:
    assert Decoder(4).feed(frames.encode(Kind.CHUNK, b"1234"))
    with pytest.raises(FrameError):
        Decoder(4).feed(frames.encode(Kind.CHUNK, b"12345"))


def test_a_frame_that_has_begun_shows() -> None:
    decoder = Decoder()
    data = frames.encode(Kind.PING)
    assert decoder.is_empty
    decoder.feed(data[:5])
    assert not decoder.is_empty
    assert decoder.feed(data[5:]) == [Frame(Kind.PING)]
    assert decoder.is_empty


def test_the_header_is_twelve_bytes_and_its_length_counts_those_after_itself() -> None:
    data = frames.encode_json(Kind.ACCEPT, {"txn": 7}, Flags.HAS_FD)
    assert HEADER_BYTES == 12
    assert data.hex(" ", -4) == "00000011 ae7e2024 01400002 7b227478 6e223a37 7d"
    assert json.loads(data[12:]) == {"txn": 7}
