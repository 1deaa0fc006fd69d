"""The notify socket with real senders: what arrives, who the kernel says sent it, and where descriptors end up."""

from __future__ import annotations

import array
import asyncio
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeterna.kernel.errors import ConfigurationError
from aeterna.supervisor.host.notify import (
    BATCH_MAX,
    DATAGRAM_BYTES_MAX,
    FDS_MAX,
    Notice,
    NotifySocket,
    Rejection,
    Watchdog,
)

SENDER = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"])
sock.send(sys.argv[1].encode())
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="an-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def notify(directory: Path) -> Iterator[NotifySocket]:
    before = open_fds()
    sock = NotifySocket.bind(directory / "notify-web-1.sock")
    yield sock
    sock.close()
    assert open_fds() == before, "every descriptor that arrived was closed"


def open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def send(notify: NotifySocket, *messages: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(notify.path)
        for message in messages:
            sock.send(message)


def send_fds(notify: NotifySocket, message: bytes, fds: list[int]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(notify.path)
        sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def notice(**fields: str) -> Notice:
    return Notice(1, 0, fields)


def test_the_kernel_says_which_process_spoke(notify: NotifySocket) -> None:
    sender = subprocess.Popen(
        [sys.executable, "-IS", "-c", SENDER, "READY=1\nSTATUS=serving"], env={"NOTIFY_SOCKET": notify.path}
    )
    assert sender.wait(10) == 0
    [got] = notify.receive()
    assert (got.pid, got.uid) == (sender.pid, os.getuid())
    assert got.is_ready
    assert got.status == "serving"
    assert not got.is_stopping


def test_an_empty_socket_yields_nothing_and_does_not_block(notify: NotifySocket) -> None:
    assert notify.receive() == []


def test_the_order_of_messages_is_kept_and_a_batch_is_bounded(notify: NotifySocket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(notify.path)
        sent = 0
        try:
            while sent < BATCH_MAX + 3:
                sock.send(f"STATUS={sent}".encode())
                sent += 1
        except BlockingIOError:
            pass  # the kernel's queue is shorter than a batch
        first = notify.receive()
        assert [each.status for each in first] == [str(i) for i in range(min(sent, BATCH_MAX))]


def test_all_documented_fields_are_read() -> None:
    got = notice(
        READY="0", RELOADING="1", STOPPING="1", ERRNO="2", MAINPID="77", WATCHDOG="trigger", WATCHDOG_USEC="5000000",
        EXTEND_TIMEOUT_USEC="60000000", MONOTONIC_USEC="123", FDSTORE="1", FDNAME="cache", FDPOLL="0",
        FDSTOREREMOVE="1", RESTART_RESET="1", X_AETERNA_INFLIGHT="17",
    )  # fmt: skip
    assert not got.is_ready
    assert got.is_reloading
    assert got.is_stopping
    assert got.resets_restarts
    assert got.stores_fds
    assert got.removes_fds
    assert not got.polls_fds
    assert (got.errno, got.main_pid, got.monotonic_us) == (2, 77, 123)
    assert (got.watchdog, got.watchdog_us, got.extend_timeout_us) == (Watchdog.TRIGGER, 5_000_000, 60_000_000)
    assert (got.fd_name, got.own("INFLIGHT"), got.own("DRAINED")) == ("cache", "17", None)


def test_fields_that_make_no_sense_count_as_absent() -> None:
    got = notice(ERRNO="-1", MAINPID="0", WATCHDOG="maybe", WATCHDOG_USEC="1e9", EXTEND_TIMEOUT_USEC="9" * 40)
    assert (got.errno, got.main_pid, got.watchdog, got.watchdog_us, got.extend_timeout_us) == (None,) * 5
    assert got.status is None
    assert notice(STATUS="a\x1b[31mb").status == "a\ufffd[31mb"
    for name in ("", "a:b", "a b", "é", "x" * 256):
        assert notice(FDNAME=name).fd_name == "stored"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", Rejection.NO_FIELDS),
        (b"READY", Rejection.NO_FIELDS),
        (b"ready=1\n=x\n\n", Rejection.NO_FIELDS),
        (b"STATUS=\xff\xfe", Rejection.NOT_TEXT),
        (b"READY=1\0", Rejection.NOT_TEXT),
        (b"STATUS=" + b"x" * DATAGRAM_BYTES_MAX, Rejection.TOO_LONG),
    ],
)
def test_a_malformed_message_is_counted_and_the_next_one_is_read(
    notify: NotifySocket, message: bytes, reason: Rejection
) -> None:
    send(notify, message, b"READY=1")
    assert [each.fields for each in notify.receive()] == [{"READY": "1"}]
    assert notify.rejected == {reason: 1}


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_whatever_a_sender_writes_raises_nothing(notify: NotifySocket, message: bytes) -> None:
    send(notify, message)
    for got in notify.receive():
        assert got.fields
        assert got.fds == ()


def test_stored_descriptors_belong_to_the_receiver(notify: NotifySocket) -> None:
    memory = os.memfd_create("state")
    os.write(memory, b"sessions")
    send_fds(notify, b"FDSTORE=1\nFDNAME=sessions", [memory, memory])
    os.close(memory)
    [got] = notify.receive()
    assert got.fd_name == "sessions"
    assert [os.pread(fd, 99, 0) for fd in got.fds] == [b"sessions"] * 2
    assert not any(os.get_inheritable(fd) for fd in got.fds)
    got.close_fds()


@pytest.mark.parametrize(
    "message", [b"READY=1", b"", b"\xff", b"FDSTORE=1\xff", b"FDSTORE=1" + b"\n" * DATAGRAM_BYTES_MAX]
)
def test_descriptors_nobody_asked_for_are_closed(notify: NotifySocket, message: bytes) -> None:
    reader, writer = os.pipe()
    send_fds(notify, message, [writer])
    os.close(writer)
    assert all(not got.fds for got in notify.receive())
    assert os.read(reader, 1) == b"", "the last writing end is closed"
    os.close(reader)


def test_as_many_descriptors_as_the_kernel_lets_through_arrive(notify: NotifySocket) -> None:
    with Path(os.devnull).open() as null:
        send_fds(notify, b"FDSTORE=1", [null.fileno()] * FDS_MAX)
    [got] = notify.receive()
    assert len(got.fds) == FDS_MAX
    got.close_fds()


def test_descriptors_beyond_our_own_limit_are_lost_without_harm(notify: NotifySocket) -> None:
    with Path(os.devnull).open() as null:
        send_fds(notify, b"FDSTORE=1\nSTATUS=many", [null.fileno()] * 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(notify.fileno())
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 3, hard))
    try:
        [got] = notify.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert got.status == "many"
    assert len(got.fds) < 100
    assert notify.rejected[Rejection.FDS_LOST] == 1
    got.close_fds()


def test_a_barrier_is_answered_after_what_was_sent_before_it(notify: NotifySocket) -> None:
    reader, writer = os.pipe()
    send(notify, b"STATUS=one", b"STATUS=two")
    send_fds(notify, b"BARRIER=1", [writer])
    os.close(writer)
    send(notify, b"STATUS=three")
    os.set_blocking(reader, False)
    assert [each.status for each in notify.receive()] == ["one", "two"]
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    assert select.select([notify], [], [], 0)[0], "the barrier wakes the loop again"
    assert [each.status for each in notify.receive()] == ["three"]
    assert os.read(reader, 1) == b""
    assert notify.rejected == {}
    os.close(reader)


async def test_a_loop_waits_for_messages_by_the_descriptor(notify: NotifySocket) -> None:
    got: asyncio.Future[list[Notice]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(notify, lambda: None if got.done() else got.set_result(notify.receive()))
    send(notify, b"WATCHDOG=1")
    async with asyncio.timeout(5):
        [first] = await got
    assert first.watchdog is Watchdog.ALIVE
    asyncio.get_running_loop().remove_reader(notify)


def test_a_duplicate_of_the_socket_goes_on_where_the_first_stopped(directory: Path) -> None:
    first = NotifySocket.bind(directory / "n.sock")
    kept = os.dup(first.fileno())
    send(first, b"READY=1")
    first.close()
    second = NotifySocket.adopt(kept)
    assert second.path == str(directory / "n.sock")
    assert not os.get_inheritable(second.fileno())
    assert [each.is_ready for each in second.receive()] == [True]
    second.close(unlink=True)
    assert not Path(second.path).exists()


def test_a_descriptor_that_is_no_notify_socket_is_refused_and_closed() -> None:
    before = open_fds()
    with pytest.raises(ConfigurationError, match="no Unix datagram socket"):
        NotifySocket.adopt(socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach())
    with pytest.raises(OSError, match="non-socket"):
        NotifySocket.adopt(os.open("/dev/null", os.O_RDONLY))
    assert open_fds() == before


def test_a_stale_path_is_replaced_and_only_the_own_path_is_removed(directory: Path) -> None:
    path = directory / "n.sock"
    first = NotifySocket.bind(path)
    second = NotifySocket.bind(path)
    assert path.stat().st_mode & 0o777 == 0o666
    first.close(unlink=True)
    assert path.exists(), "it is the second one's by now"
    second.close(unlink=True)
    assert not path.exists()


def test_a_path_that_cannot_hold_a_socket_is_refused(directory: Path) -> None:
    before = open_fds()
    with pytest.raises(ConfigurationError, match="longer than 107 bytes"):
        NotifySocket.bind(directory / ("x" * 108))
    (directory / "file").write_text("keep me")
    with pytest.raises(OSError, match="in use"):
        NotifySocket.bind(directory / "file")
    assert (directory / "file").read_text() == "keep me"
    assert open_fds() == before
