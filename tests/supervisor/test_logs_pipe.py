"""Pipes of real processes: every byte becomes part of a line, and nobody who writes is kept waiting."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from aeterna.kernel.clock import sleep
from aeterna.supervisor.host.log_pipe import CUT_MARK, LINE_BYTES_MAX, TURN_BYTES_MAX, LineCutter, LogPipe


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    uvloop.new_event_loop().close()  # the first one opens some for the life of the process
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Reading:
    """A pipe with its writing end, the lines that came out, and its end."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        self.lines: list[str] = []
        self.ended = asyncio.Event()
        self.pipe = LogPipe(reader, self.lines.extend, self.ended.set)
        self.pipe.start()

    async def until_end(self) -> list[str]:
        async with asyncio.timeout(20):
            await self.ended.wait()
        return self.lines

    def of_process(self, *argv: str) -> subprocess.Popen[bytes]:
        """Give the writing end to a process alone."""
        process = subprocess.Popen(argv, stdout=self.writer)
        self.close_writer()
        return process

    def close_writer(self) -> None:
        os.close(self.writer)


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_lines_do_not_depend_on_how_the_bytes_arrive(lines: list[bytes], step: int) -> None:
    whole = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    cutter = LineCutter()
    out = [text for i in range(0, len(whole), step) for text in cutter.feed(whole[i : i + step])]
    assert out == LineCutter().feed(whole)
    assert len(out) == len(lines)
    assert cutter.flush() == []


def test_ends_of_lines_and_bytes_that_are_no_text() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"dos\r\nunix\n\nbad \xff byte\n\xc3") == ["dos", "unix", "", "bad \ufffd byte"]
    assert cutter.feed(b"\xa4 whole\nlast") == ["ä whole"]
    assert cutter.flush() == ["last"]
    assert cutter.flush() == []


@pytest.mark.parametrize("step", [1000, 65536, 10**6])
def test_a_line_over_the_limit_is_cut_with_a_mark(step: int) -> None:
    long = b"x" * LINE_BYTES_MAX
    data = b"a\n" + long + b"\n" + long + b"yyy" * 50_000 + b"\nb\n" + long + b"z"
    cutter = LineCutter()
    out = [text for i in range(0, len(data), step) for text in cutter.feed(data[i : i + step])] + cutter.flush()
    full = long.decode()
    assert out == ["a", full, full + CUT_MARK, "b", full + CUT_MARK]


async def test_an_unfinished_last_line_comes_at_the_end() -> None:
    reading = Reading()
    os.write(reading.writer, b"one\ntwo\nthr")
    reading.close_writer()
    assert await reading.until_end() == ["one", "two", "thr"]
    assert not reading.pipe.is_open
    reading.pipe.stop()
    reading.pipe.drain()


async def test_a_pipe_gets_more_room_and_a_small_one_will_do() -> None:
    reading = Reading()
    assert fcntl.fcntl(reading.writer, fcntl.F_GETPIPE_SZ) >= 256 * 1024
    assert os.get_blocking(reading.writer), "the service's end stays as it was"
    reading.close_writer()
    await reading.until_end()


async def test_all_a_process_writes_arrives_in_order() -> None:
    reading = Reading()
    code = "for i in range(200_000): print('line', i)"
    process = reading.of_process(sys.executable, "-IS", "-c", code)
    lines = await reading.until_end()
    assert process.wait(10) == 0
    assert lines == [f"line {i}" for i in range(200_000)]


async def test_a_chatty_pipe_does_not_keep_the_loop_from_others() -> None:
    """While one pipe never runs empty, another one is read and other callbacks run between any two readings."""
    chatty, quiet = Reading(), Reading()
    process = chatty.of_process("yes", "spam")
    try:
        async with asyncio.timeout(10):
            while chatty.pipe.bytes_read < 5_000_000:
                before = chatty.pipe.bytes_read
                await sleep(0)  # one turn of the loop
                assert chatty.pipe.bytes_read - before <= TURN_BYTES_MAX
                chatty.lines.clear()
            os.write(quiet.writer, b"still here\n")
            quiet.close_writer()
            assert await quiet.until_end() == ["still here"]
    finally:
        process.kill()
        process.wait()
        chatty.pipe.stop()


async def test_what_a_dead_process_wrote_is_there_though_others_keep_the_pipe() -> None:
    reading = Reading()
    os.write(reading.writer, b"Traceback\nKeyError: 'x'")
    reading.pipe.drain()
    assert reading.lines == ["Traceback", "KeyError: 'x'"]
    assert reading.pipe.is_open
    os.write(reading.writer, b"later\n")
    reading.close_writer()
    assert (await reading.until_end())[-1] == "later"


async def test_draining_ends_though_somebody_goes_on_writing() -> None:
    reading = Reading()
    process = reading.of_process("yes")
    for _ in range(5):
        reading.pipe.drain()
    reading.pipe.stop()
    process.wait(10)
    assert not reading.ended.is_set(), "stopping is not the end"


async def test_the_next_reader_goes_on_where_the_first_stopped() -> None:
    reading = Reading()
    kept = os.dup(reading.pipe._fd)
    os.write(reading.writer, b"first half")
    reading.pipe.drain()
    reading.pipe.stop()
    os.write(reading.writer, b", second half\n")
    reading.close_writer()
    ended = asyncio.Event()
    second = LogPipe(kept, reading.lines.extend, ended.set)
    second.start()
    async with asyncio.timeout(5):
        await ended.wait()
    assert reading.lines == ["first half", ", second half"]


@pytest.mark.uvloop
async def test_pipes_are_read_on_uvloop_too() -> None:
    reading = Reading()
    process = reading.of_process(sys.executable, "-IS", "-c", "print('hello\\n' * 9999)")
    assert len(await reading.until_end()) == 10_000
    process.wait()
