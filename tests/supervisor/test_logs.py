"""Lines as they are written, kept, matched and followed."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.kernel.clock import SystemClock
from aeterna.supervisor.host.log_book import (
    CHARACTERS_KEPT,
    GENERATIONS_KEPT,
    LINES_KEPT,
    LogBook,
)
from aeterna.supervisor.host.logs import JsonFormat, Level, LogLine, LogStream, TextFormat, level_of, log_format

AT_US = 1_700_000_000_789_999


class Clock:
    """A clock that stands still."""

    def now_us(self) -> int:
        return AT_US

    def monotonic_us(self) -> int:
        return 0


class Shelf:
    """A sink that keeps what it gets, and whose trouble the test decides."""

    def __init__(self) -> None:
        self.dropped = 0
        self.texts: list[str] = []
        self.notice: str | None = None
        self.reopened = 0
        self.is_closed = False

    def write(self, lines: Sequence[LogLine]) -> None:
        self.texts += [line.text for line in lines]

    def take_notice(self) -> str | None:
        notice, self.notice = self.notice, None
        return notice

    def reopen(self) -> None:
        self.reopened += 1

    async def drain(self, timeout_ms: int) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


def line(text: str, stream: LogStream = LogStream.OUT, level: Level | None = None, service: str = "web") -> LogLine:
    return LogLine(1, AT_US, service, 3 if service else 0, stream, text, level)


def texts(lines: Sequence[LogLine]) -> list[str]:
    return [each.text for each in lines]


def test_text_names_time_service_generation_and_stream() -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(AT_US // 1_000_000))
    write = log_format("text")
    assert write(line("hello")) == f"{clock}.789 web/3 out | hello\n".encode()
    assert write(line("bad", LogStream.ERR)) == f"{clock}.789 web/3 err | bad\n".encode()
    said = write(line("gone", LogStream.SUPERVISOR, Level.WARNING))
    assert said == f"{clock}.789 web/3 aeterna | warning: gone\n".encode()
    assert write(line("up", LogStream.SUPERVISOR, Level.INFO, "")) == f"{clock}.789 aeterna | up\n".encode()


def test_json_names_the_same_and_a_level() -> None:
    assert json.loads(log_format("json")(line("ERROR: no"))) == {
        "ts": "2023-11-14T22:13:20.789Z",
        "level": "error",
        "service": "web",
        "generation": 3,
        "stream": "out",
        "text": "ERROR: no",
    }


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("INFO:     Started server", Level.INFO),
        ("2024-01-01 [warn] slow", Level.WARNING),
        ('{"level":"debug"}', Level.DEBUG),
        ("CRITICAL out of it", Level.ERROR),
        ("information about errors", Level.INFO),
        ("x" * 100 + " ERROR", Level.INFO),
    ],
)
def test_the_level_a_service_names_is_understood(text: str, level: Level) -> None:
    assert level_of(line(text)) is level


@given(st.text())
def test_whatever_a_line_holds_it_is_written_as_one_line(text: str) -> None:
    written = TextFormat()(line(text)).decode()
    assert written.splitlines(keepends=True) == [written]
    decoded = json.loads(JsonFormat()(line(text)))
    assert decoded["text"] == text


def test_colours_end_with_their_line_and_other_commands_are_shown() -> None:
    written = TextFormat()(line("\x1b[31mred\x1b[2J\ttab\r")).decode()
    assert written.endswith("| \x1b[31mred\\x1b[2J\ttab\\x0d\x1b[0m\n")


def test_the_book_keeps_the_last_lines_of_each_stream_in_their_order() -> None:
    book = LogBook(Clock())
    out, err = book.writer("web", 1, LogStream.OUT), book.writer("web", 1, LogStream.ERR)
    err(["Traceback", "KeyError"])
    for i in range(LINES_KEPT):
        out([f"spam {i}", f"more {i}"])
    kept = texts(book.tail("web", 1))
    assert kept[:2] == ["Traceback", "KeyError"], "one stream does not push the other one out"
    assert kept[2:] == [f"{word} {i}" for i in range(LINES_KEPT // 2, LINES_KEPT) for word in ("spam", "more")]
    assert texts(book.tail("web", 1, lines=1)) == [f"more {LINES_KEPT - 1}"]
    assert book.tail("web", 1, lines=0) == []
    assert book.tail("other") == []


def test_generations_and_services_are_kept_apart_and_forgotten() -> None:
    book = LogBook(Clock(), lines_kept=3)
    for generation in range(1, GENERATIONS_KEPT + 3):
        book.writer("web", generation, LogStream.OUT)([f"web {generation}"])
    book.writer("db", 1, LogStream.OUT)(["db 1"])
    assert book.tail("web", 2) == [], "the oldest are forgotten by themselves"
    assert len(book.tail("web")) == GENERATIONS_KEPT
    assert len(book.tail()) == GENERATIONS_KEPT + 1
    book.forget("web", 10)
    assert book.tail("web", 10) == []
    book.forget("web")
    book.forget("nobody", 1)
    assert texts(book.tail()) == ["db 1"]


def test_kept_text_is_bounded_too() -> None:
    book = LogBook(Clock())
    write = book.writer("web", 1, LogStream.OUT)
    for _ in range(100):
        write(["x" * 60_000])
    assert sum(map(len, texts(book.tail("web")))) <= CHARACTERS_KEPT
    write(["y" * 2 * CHARACTERS_KEPT])
    assert len(book.tail("web")) == 1


def test_the_supervisor_speaks_in_the_book_from_its_level_on() -> None:
    shelf = Shelf()
    book = LogBook(SystemClock(), [shelf], level=Level.INFO)
    book.say(Level.DEBUG, "unheard")
    book.say(Level.ERROR, "two\nlines \udcff", service="web", generation=2)
    book.say(Level.INFO, "")
    assert shelf.texts == ["two", "lines \\udcff"]
    [first, second] = book.tail("web", 2)
    assert (first.stream, first.level, second.number - first.number) == (LogStream.SUPERVISOR, Level.ERROR, 1)


def test_the_trouble_of_one_sink_is_told_in_the_others() -> None:
    broken, fine = Shelf(), Shelf()
    book = LogBook(Clock(), [broken, fine])
    broken.notice, broken.dropped = "the disk is full", 7
    book.writer("web", 1, LogStream.OUT)(["a"])
    book.writer("web", 1, LogStream.OUT)(["b"])
    assert fine.texts == ["a", "the disk is full", "b"]
    assert book.dropped == 7
    fine.notice = "moved"
    book.reopen()
    assert broken.texts[-1] == "moved"
    book.close()
    assert broken.is_closed
    assert fine.reopened == 1


async def test_a_follower_begins_with_kept_lines_and_misses_none() -> None:
    book = LogBook(Clock())
    write, other = book.writer("web", 1, LogStream.OUT), book.writer("db", 1, LogStream.OUT)
    write(["1", "2", "3"])
    other(["x"])
    async with book.subscribe("web", lines=2) as following:
        write(["4"])
        other(["y"])
        write(["5"])
        book.close()
        assert [each.text async for each in following] == ["2", "3", "4", "5"]
    async with book.subscribe() as late:
        assert [each async for each in late] == [], "a closed book has no more lines"


async def test_a_follower_waits_for_news() -> None:
    book = LogBook(Clock())
    async with book.subscribe() as following, asyncio.timeout(5):
        waiting = asyncio.ensure_future(anext(following))
        asyncio.get_running_loop().call_soon(book.writer("web", 1, LogStream.OUT), ["news"])
        assert (await waiting).text == "news"


async def test_a_follower_who_does_not_read_is_told_how_much_is_missing() -> None:
    book = LogBook(Clock())
    write = book.writer("web", 1, LogStream.OUT)
    async with book.subscribe(queue_lines_max=3) as following:
        write(["1", "2"])
        write(["3", "4", "5"])
        write(["6"])
        read = [(await anext(following)).text for _ in range(3)]
        write(["7"])
        assert read == ["1", "2", "3"]
        assert "4 lines were left out here" in (await anext(following)).text
        write(["8"])
        assert (await anext(following)).text == "8"
        assert following.dropped == 4


async def test_a_follower_who_left_gets_no_more() -> None:
    book = LogBook(Clock())
    async with book.subscribe() as following:
        pass
    book.writer("web", 1, LogStream.OUT)(["late"])
    book.close()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(following)


async def test_a_line_that_matches_is_found_before_and_after() -> None:
    book = LogBook(Clock())
    write = book.writer("web", 1, LogStream.OUT)
    write(["starting", "listening on 80"])
    pattern = re.compile(r"listening on (\d+)")
    assert (await book.wait_match("web", 1, pattern)).text == "listening on 80"
    async with asyncio.timeout(5):
        waiting = asyncio.ensure_future(book.wait_match("web", 2, pattern))
        await asyncio.wait({waiting}, timeout=0)
        book.say(Level.INFO, "listening on 1 is what we wait for", "web", 2)
        write(["listening on 81"])
        book.writer("web", 2, LogStream.ERR)(["hm", "listening on 82", "listening on 83"])
        assert (await waiting).text == "listening on 82"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await book.wait_match("web", 3, pattern)
