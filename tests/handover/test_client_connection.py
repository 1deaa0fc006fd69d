"""The connection of a process: it comes again when it breaks, and a forked child has one of its own."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aeterna.handover import memory
from aeterna.handover.channel import Channel, ClosedError
from aeterna.handover.client import Client
from aeterna.handover.frames import FrameError, FrameFault, Kind
from aeterna.handover.gate import Gate
from tests.handover.srp_supervisor import talk, wait_until
from tests.handover.srp_world import open_fds


def test_a_process_connects_again_and_says_where_it_stands() -> None:
    with talk() as now:
        now.value("sessions", {})
        now.supervisor.accept()
        now.supervisor.ask(Kind.STANDBY, Kind.ACK, txn=5)
        now.supervisor.ask(Kind.LEASE, Kind.ACK, {"granted": False}, txn=5)
        now.supervisor.hang_up()
        hello = now.supervisor.accept()
        assert (hello["gate"], hello["lease"], hello["role"], hello["txn"]) == ("standby", False, "candidate", 5)
        assert [each["part"] for each in hello["parts"]] == ["sessions"]


def test_a_process_outlives_a_supervisor_that_is_away_for_a_while() -> None:
    with talk() as now:
        now.client.start()
        now.supervisor.accept()
        for _ in range(3):
            now.supervisor.restart()
            now.supervisor.accept()
        assert now.supervisor.ask(Kind.PING, Kind.PONG)["gate"] == "active"


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 100,
        b"\x00\x00\x00\x0a\xae\x7e\x20\x24\x01\x40\x00\x00[]",
        b'\x00\x00\x00\x13\xae\x7e\x20\x24\x01\x40\x00\x00{"txn":"x"}',
    ],
)
def test_a_process_that_is_told_garbage_hangs_up_and_connects_again(garbage: bytes) -> None:
    with talk() as now:
        now.client.start()
        now.supervisor.accept()
        assert now.supervisor.channel is not None
        now.supervisor.channel._send(garbage, -1)
        with pytest.raises(ClosedError):
            now.supervisor.receive()
        now.supervisor.hang_up()
        now.supervisor.accept()
        now.supervisor.ask(Kind.PING, Kind.PONG)


def test_a_declaration_does_not_wait_for_a_supervisor_that_is_away() -> None:
    with talk() as now:
        now.supervisor.close()
        now.value("sessions", {})
        now.supervisor.restart()
        assert [each["part"] for each in now.supervisor.accept()["parts"]] == ["sessions"]


def test_a_forked_child_has_a_connection_of_its_own_and_none_of_its_parents() -> None:
    """The child says hello for itself, and the parent's end is seen although the child lives on."""
    with talk() as now:
        now.value("sessions", {})
        parent_hello = now.supervisor.accept()
        parent = now.supervisor.channel
        now.gate.enter()
        pid = os.fork()
        if not pid:
            now.client.forked()
            signal.pause()
        try:
            child_hello = now.supervisor.accept()
            assert (parent_hello["pid"], child_hello["pid"]) == (os.getpid(), pid)
            assert [each["part"] for each in child_hello["parts"]] == ["sessions"]
            # What is under way in the parent does not keep the child from coming to rest.
            now.supervisor.ask(Kind.QUIESCE, Kind.QUIESCED)
            child = now.supervisor.channel
            now.client.stop()
            now.supervisor.channel = parent
            with pytest.raises(ClosedError):
                now.supervisor.receive()
            now.supervisor.channel = child
            now.supervisor.ask(Kind.PING, Kind.PONG)
            assert parent is not None
            parent.close()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_fork_in_a_real_process_needs_no_help() -> None:
    code = (
        "import os, signal\nfrom aeterna import handover\nhandover.state('s', default=dict)\n"
        "pid = os.fork()\n"
        "signal.pause() if not pid else (os.waitpid(pid, 0), None)\n"
    )
    with talk() as now:
        environ = {**os.environ, "AETERNA_STATE_SOCK": str(now.supervisor.path), "AETERNA_INSTANCE": "t"}
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], environ)
        # Either may be the first to say hello: the parent connects in a thread, beside the fork.
        first = now.supervisor.accept()["pid"]
        channel = now.supervisor.channel
        assert channel is not None
        with closing(channel):
            second = now.supervisor.accept()["pid"]
            assert pid in {first, second}
            assert first != second
            os.kill(second if first == pid else first, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_supervisor_that_does_not_read_holds_nobody_up_for_long() -> None:
    """It is the kernel that ends the wait; here after a moment."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, b"\0" * 8 + (20_000).to_bytes(8, sys.byteorder))
    with pytest.raises(OSError):
        while True:
            channel.send(Kind.HELLO, {"text": "x" * 100_000})
    # Half a frame has gone, so that nothing more may follow it.
    with pytest.raises(OSError):
        channel.send(Kind.PING, {})
    channel.close()
    theirs.close()


# --- the channel -----------------------------------------------------------------------------------------------------


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    before = open_fds()
    ours, theirs = socket.socketpair()
    found = Channel(ours), Channel(theirs)
    yield found
    for channel in found:
        channel.close()
    assert open_fds() == before


def test_descriptors_arrive_with_their_frames(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels
    for number in range(5):
        ours.send(Kind.PING, {"n": number})
        fd = memory.create_sealed("x", str(number).encode())
        ours.send(Kind.PART, {"n": number}, fd)
        os.close(fd)
    for number in range(5):
        assert theirs.receive().fd == -1
        arrival = theirs.receive()
        assert bytes(memory.content(arrival.fd)) == str(number).encode()
        arrival.close()


def test_descriptors_nobody_takes_are_closed(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels
    with Path(os.devnull).open() as file:
        for _ in range(3):
            ours.send(Kind.PART, {}, file.fileno())
        theirs.receive().close()


def test_a_descriptor_that_no_frame_announces_is_refused_and_closed(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels
    with Path(os.devnull).open() as file:
        socket.send_fds(ours._sock, [b"\x00\x00\x00\x08\xae\x7e\x20\x24\x01\x70\x00\x00"], [file.fileno()])
    with pytest.raises(FrameError) as caught:
        theirs.receive()
    assert caught.value.fault is FrameFault.STRAY_FD


def test_many_descriptors_at_once_are_refused_and_closed(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels
    with Path(os.devnull).open() as file:
        socket.send_fds(ours._sock, [b"\x00\x00\x00\x08\xae\x7e\x20\x24\x01\x20\x00\x02"], [file.fileno()] * 200)
    with pytest.raises(FrameError):
        theirs.receive()


def test_a_client_that_is_stopped_before_it_could_connect_ends(tmp_path: Path) -> None:
    client = Client({"AETERNA_STATE_SOCK": str(tmp_path / "none"), "AETERNA_INSTANCE": "t"}, Gate())
    client.start()
    wait_until(lambda: client._thread is not None)
    client.stop()
    assert client._thread is not None
    assert not client._thread.is_alive()
