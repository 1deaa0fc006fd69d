"""Where lines are written: slow readers, full disks, files that move, terminals that go away."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import socket
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aeterna.config.spec import LogSpec
from aeterna.kernel.clock import SystemClock, sleep
from aeterna.supervisor.host.log_book import LogBook, open_sinks
from aeterna.supervisor.host.log_file import RotatingFile
from aeterna.supervisor.host.log_output import PENDING_BYTES_MAX, StandardOutput, _write_if_ready
from aeterna.supervisor.host.logs import LogLine, LogStream, Sink


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def plain(line: LogLine) -> bytes:
    return line.text.encode() + b"\n"


def lines(*texts: str, at_s: int = 0) -> list[LogLine]:
    return [LogLine(i, at_s * 1_000_000, "web", 1, LogStream.OUT, text) for i, text in enumerate(texts)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await sleep(0.001)


def read_all(fd: int) -> bytes:
    """What a non-blocking descriptor has to give now."""
    found = b""
    while True:
        try:
            data = os.read(fd, 1 << 20)
        except BlockingIOError:
            return found
        if not data:
            return found
        found += data


class Place:
    """Something standard output may be, with its reading end."""

    def __init__(self, kind: str) -> None:
        if kind == "pipe":
            self.reader, self.writer = os.pipe()
        elif kind == "terminal":
            self.reader, self.writer = pty.openpty()
            tty.setraw(self.writer)
        else:
            self.reader, self.writer = (end.detach() for end in socket.socketpair())
        os.set_blocking(self.reader, False)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


KINDS = ["pipe", "terminal", "socket"]


@pytest.mark.parametrize("kind", KINDS)
async def test_standard_output_gets_lines_at_once_and_stays_blocking_for_others(kind: str) -> None:
    place = Place(kind)
    out = StandardOutput(plain, place.writer)
    out.write(lines("one", "two"))
    assert read_all(place.reader) == b"one\ntwo\n"
    assert os.get_blocking(place.writer)
    out.close()
    out.close()
    out.write(lines("too late"))
    place.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reader_that_stalls_costs_lines_and_no_time(kind: str) -> None:
    place = Place(kind)
    out = StandardOutput(plain, place.writer)
    loop = asyncio.get_running_loop()
    start = loop.time()
    sent = 0
    while out.dropped < 100:
        out.write(lines(*(f"{sent + i:06d}" + "x" * 90 for i in range(50))))
        sent += 50
    assert loop.time() - start < 5
    assert len(out._pending) <= PENDING_BYTES_MAX
    got = b""
    while b"left out" not in got:
        got += read_all(place.reader)
        await sleep(0)
    out.write(lines("fresh"))
    await out.drain(5_000)
    got += read_all(place.reader)
    read = got.decode().splitlines()
    numbers = [int(each[:6]) for each in read[:-2]]
    assert numbers == list(range(sent - out.dropped)), "what was taken arrives whole and in order"
    assert f"{out.dropped} lines were left out here" in read[-2]
    assert read[-1] == "fresh"
    out.close()
    place.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reader_that_is_gone_is_told_once(kind: str) -> None:
    place = Place(kind)
    out = StandardOutput(plain, place.writer)
    os.close(place.reader)
    for _ in range(3):
        out.write(lines("a", "b"))
    assert out.dropped == 6
    notice = out.take_notice()
    assert notice is not None
    assert "standard output is gone" in notice
    assert out.take_notice() is None
    out.close()
    os.close(place.writer)


async def test_a_reader_that_was_gone_from_the_start_harms_nothing() -> None:
    place = Place("pipe")
    os.close(place.reader)
    out = StandardOutput(plain, place.writer)
    out.write(lines("a"))
    assert out.dropped == 1
    os.close(place.writer)


async def test_a_place_that_cannot_be_opened_again_is_asked_before_each_write() -> None:
    place = Place("pipe")
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += _write_if_ready(place.writer, bytearray(b"x" * 1000))
    assert sent >= 4096
    assert len(read_all(place.reader)) == sent
    place.close()


async def test_waiting_for_a_stalled_reader_has_an_end() -> None:
    place = Place("pipe")
    out = StandardOutput(plain, place.writer)
    out.write(lines("x" * 200_000))
    await out.drain(20)
    out.close()
    assert out.dropped == 1
    place.close()


def test_standard_output_may_be_a_file_and_needs_no_loop(tmp_path: Path) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before\n")
    out = StandardOutput(plain, fd)
    out.write(lines("one"))
    os.write(fd, b"between\n")
    out.write(lines("two"))
    out.close()
    os.close(fd)
    assert path.read_text() == "before\none\nbetween\ntwo\n"


def test_without_a_loop_a_full_pipe_is_tried_again_with_the_next_line() -> None:
    place = Place("pipe")
    out = StandardOutput(plain, place.writer)
    out.write(lines("x" * 100_000))
    assert len(read_all(place.reader)) < 100_000
    out.write(lines("more"))
    assert read_all(place.reader).endswith(b"x\nmore\n")
    out.close()
    place.close()


def test_files_rotate_by_size_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "aeterna.log"
    sink = RotatingFile(path, plain, bytes_max=10, files_max=3)
    sink.write(lines("aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "gggg"))
    sink.write(lines("hhhh"))
    sink.close()
    found = {each.name: each.read_text() for each in path.parent.iterdir()}
    assert found == {
        "aeterna.log": "gggg\nhhhh\n",
        "aeterna.log.1": "eeee\nffff\n",
        "aeterna.log.2": "cccc\ndddd\n",
    }
    assert path.stat().st_mode & 0o007 == 0


def test_one_file_begins_anew_and_a_long_line_gets_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = RotatingFile(path, plain, bytes_max=10, files_max=1)
    sink.write(lines("aaaa", "b" * 50, "cccc"))
    assert path.read_text() == "cccc\n"
    sink.close()
    again = RotatingFile(path, plain, bytes_max=10, files_max=1)
    again.write(lines("dddd"))
    assert path.read_text() == "cccc\ndddd\n", "an existing file is gone on with"
    again.close()


def test_reopening_follows_the_name(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = RotatingFile(path, plain, 1000, 5)
    sink.write(lines("a"))
    path.rename(tmp_path / "moved")
    sink.write(lines("b"))
    sink.reopen()
    sink.write(lines("c"))
    assert (tmp_path / "moved").read_text() == "a\nb\n"
    assert path.read_text() == "c\n"
    path.unlink()
    path.mkdir()
    sink.reopen()
    assert "cannot be opened: Is a directory" in (sink.take_notice() or "")
    sink.write(lines("d"))
    assert sink.dropped == 0, "it stays with the file it has"
    sink.close()


def test_a_full_disk_costs_lines_is_told_once_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    sink = RotatingFile(path, plain, 10, 5)
    for _ in range(3):
        sink.write(lines("aaaaaaaa", "bbbbbbbb"))
    assert sink.take_notice() == f"log file {path} cannot be written: No space left on device"
    assert sink.take_notice() is None
    assert sink.dropped == 6
    path.unlink()
    sink.reopen()
    sink.write(lines("c"))
    assert sink.take_notice() == f"log file {path} is written again; 6 lines are missing in it"
    assert path.read_text() == "c\n"
    sink.close()


def test_a_file_that_cannot_be_opened_is_tried_again_later(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "log"
    path.parent.write_text("in the way")
    sink = RotatingFile(path, plain, 1000, 5)
    assert "cannot be opened" in (sink.take_notice() or "")
    sink.write(lines("a", at_s=1))
    path.parent.unlink()
    sink.write(lines("b", at_s=1))
    sink.write(lines("c", at_s=2))
    assert path.read_text() == "c\n"
    assert sink.dropped == 2
    assert "2 lines are missing" in (sink.take_notice() or "")
    sink.close()
    sink.write(lines("d", at_s=10))
    assert sink.dropped == 3


def test_rotating_that_fails_leaves_the_lines_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "log"
    (tmp_path / "log.1" / "full").mkdir(parents=True)
    sink = RotatingFile(path, plain, 10, 2)
    sink.write(lines("aaaa", "bbbb", "cccc"))
    assert "cannot be rotated" in (sink.take_notice() or "")
    assert path.read_text() == "aaaa\nbbbb\ncccc\n"
    shutil.rmtree(tmp_path / "log.1")
    sink.write(lines("dddd", "eeee", "ffff"))
    assert (tmp_path / "log.1").exists(), "it is tried again at twice the size"
    assert sink.dropped == 0
    sink.close()


async def test_a_configuration_opens_its_places_and_a_book_fills_them(tmp_path: Path) -> None:
    place = Place("pipe")
    spec = LogSpec(format="json", path=str(tmp_path / "log"))
    sinks: list[Sink] = open_sinks(spec, place.writer)
    book = LogBook(SystemClock(), sinks)
    book.writer("web", 1, LogStream.OUT)(["hello"])
    await book.drain(1_000)
    book.close()
    written = (tmp_path / "log").read_bytes()
    assert b'"text":"hello"' in written
    assert read_all(place.reader) == written
    [only] = open_sinks(LogSpec(), place.writer)
    only.close()
    place.close()
