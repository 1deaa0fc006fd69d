"""Frames over a real socket: any content, any size, any number of descriptors, and peers that misbehave."""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeterna.supervisor.keeper.wire import Link, LinkError, Message, close_fds


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    left, right = (Link(sock) for sock in socket.socketpair())
    yield left, right
    left.close()
    right.close()


def exchange(source: Link, target: Link, count: int) -> list[Message]:
    """Pump until so many messages have arrived."""
    messages: list[Message] = []
    for _ in range(100_000):
        if not source.is_closed:
            source.flush()
        messages += target.receive()
        if len(messages) >= count or target.is_closed:
            break
    return messages


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
frames = st.tuples(st.dictionaries(st.text(), json_values, max_size=4), st.binary(max_size=300), st.integers(0, 300))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(frames, min_size=1, max_size=5))
def test_whatever_is_sent_arrives_as_it_was_and_in_order(ends: tuple[Link, Link], sent) -> None:
    left, right = ends
    null = os.open(os.devnull, os.O_RDONLY)
    for body, blob, fd_count in sent:
        left.send(body, blob, [os.dup(null) for _ in range(fd_count)])
    messages = exchange(left, right, len(sent))
    for message, (body, blob, fd_count) in zip(messages, sent, strict=True):
        assert (message.body, message.blob, message.is_short) == (body, blob, False)
        fds = message.take_fds()
        assert len(fds) == fd_count
        assert not any(os.get_inheritable(fd) for fd in fds)
        close_fds(fds)
    os.close(null)


def test_what_the_peer_does_not_read_waits_and_blocks_nobody(ends: tuple[Link, Link]) -> None:
    left, right = ends
    fds = [os.memfd_create(f"m{number}") for number in range(600)]
    left.send({"n": 0}, b"x" * 5_000_000)
    left.send({"n": 1}, b"y" * 5_000_000, fds)
    left.send({"n": 2})
    assert left.has_unsent
    messages = exchange(left, right, 3)
    assert [message.body["n"] for message in messages] == [0, 1, 2]
    assert [len(message.blob) for message in messages] == [5_000_000, 5_000_000, 0]
    received = messages[1].take_fds()
    names = [str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in received]
    assert names == [f"/memfd:m{number} (deleted)" for number in range(600)]
    close_fds(received)
    assert not left.has_unsent


def test_a_frame_whose_descriptors_find_no_room_says_so_and_the_next_one_is_whole(ends: tuple[Link, Link]) -> None:
    left, right = ends
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    left.send({"n": 1}, b"", [os.dup(0) for _ in range(20)])
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 5, hard))
    try:
        (first,) = exchange(left, right, 1)
        assert first.is_short
        first.close()
        memfd = os.memfd_create("second")
        left.send({"n": 2}, b"", [memfd])
        (second,) = exchange(left, right, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not second.is_short
    (fd,) = second.take_fds()
    assert "second" in str(Path(f"/proc/self/fd/{fd}").readlink())
    os.close(fd)


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack("!III", 2**31, 0, 0),
        struct.pack("!III", 2, 2**30, 0),
        struct.pack("!III", 2, 0, 2**20),
        struct.pack("!III", 4, 0, 0) + b"true",
        struct.pack("!III", 3, 0, 0) + b"{x}",
        struct.pack("!III", 1, 0, 0) + b"\xff",
    ],
)
def test_what_is_no_frame_closes_the_link_and_says_why(garbage: bytes) -> None:
    left, right = socket.socketpair()
    link = Link(right)
    left.sendall(struct.pack("!III", 2, 0, 0) + b"{}" + garbage)
    assert [message.body for message in link.receive()] == [{}], "what came before it counts"
    assert link.is_closed
    assert "not a frame" in link.fault
    left.close()


def test_the_end_of_the_stream_is_no_fault() -> None:
    left, right = socket.socketpair()
    link = Link(right)
    left.sendall(struct.pack("!III", 2, 0, 0) + b"{}" + b"\0\0")
    left.close()
    assert len(link.receive()) == 1
    assert link.is_closed
    assert link.fault == ""
    assert link.receive() == []


def test_descriptors_that_cannot_be_sent_are_closed(ends: tuple[Link, Link]) -> None:
    left, right = ends
    left.send({}, b"x" * 5_000_000)
    waiting, late, refused = (os.dup(0) for _ in range(3))
    left.send({}, b"", [waiting])
    right.close()
    with pytest.raises(LinkError):
        left.flush()
    assert left.is_closed
    with pytest.raises(LinkError, match="closed"):
        left.send({}, b"", [late])
    with pytest.raises(ValueError, match="too large"):
        left.send({}, bytes(300 * 1024**2), [refused])
    for fd in (waiting, late, refused):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
