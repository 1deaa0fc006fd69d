"""All lines of all services: the last ones kept in memory, and every one passed on to who writes or follows them.

May not know what a line means. The invariants: adding a line never blocks and never raises; a follower who does not
read loses lines, and is told how many; memory is bounded per service, however long its lines are.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aeterna.config.spec import LogSpec
from aeterna.kernel.clock import Clock
from aeterna.supervisor.host.log_file import RotatingFile
from aeterna.supervisor.host.log_output import StandardOutput
from aeterna.supervisor.host.logs import Level, LogLine, LogStream, Sink, log_format

LINES_KEPT = 200
"""Last lines kept per stream of a generation."""

CHARACTERS_KEPT = 1024 * 1024
"""Bound on the kept text per stream of a generation."""

GENERATIONS_KEPT = 8
"""Generations of one service whose lines are kept; the oldest is forgotten first."""

QUEUE_LINES_MAX = 1000
"""Lines that wait for one follower."""


class LogBook:
    """Takes lines, keeps the last ones, and hands each to the sinks and followers."""

    def __init__(
        self,
        clock: Clock,
        sinks: Iterable[Sink] = (),
        *,
        lines_kept: int = LINES_KEPT,
        level: Level = Level.INFO,
    ) -> None:
        self._clock = clock
        self._sinks = tuple(sinks)
        self._lines_kept = lines_kept
        self._level = level
        self._number = 0
        self._rings: dict[str, dict[int, dict[LogStream, _Ring]]] = {}
        self._followers: set[Subscription] = set()
        self._watchers: list[_Watcher] = []
        self._is_telling = False
        self._is_closed = False

    @property
    def dropped(self) -> int:
        """Lines that a sink could not take, in total."""
        return sum(sink.dropped for sink in self._sinks)

    def writer(self, service: str, generation: int, stream: LogStream) -> Callable[[Sequence[str]], None]:
        """What takes the lines of one pipe."""

        def write(texts: Sequence[str]) -> None:
            at_us = self._clock.now_us()
            first = self._number + 1
            self._number += len(texts)
            self._publish(
                [LogLine(number, at_us, service, generation, stream, text) for number, text in enumerate(texts, first)]
            )

        return write

    def say(self, level: Level, text: str, service: str = "", generation: int = 0) -> None:
        """Add lines of the supervisor's own, about a service or about itself; below the book's level they are not
        heard."""
        if level.rank < self._level.rank:
            return
        at_us = self._clock.now_us()
        lines = []
        # A file's name may hold bytes that no encoding accepts.
        for part in text.encode(errors="backslashreplace").decode().splitlines():
            self._number += 1
            lines.append(LogLine(self._number, at_us, service, generation, LogStream.SUPERVISOR, part, level))
        self._publish(lines)

    def tail(
        self, service: str | None = None, generation: int | None = None, lines: int | None = None
    ) -> list[LogLine]:
        """The last kept lines in their order: of one generation, of a whole service, or of everything."""
        found: list[LogLine] = []
        for name, generations in self._rings.items():
            for number, streams in generations.items():
                if service in (None, name) and generation in (None, number):
                    found += (line for ring in streams.values() for line in ring.lines)
        found.sort(key=lambda line: line.number)
        return found if lines is None else found[max(0, len(found) - lines) :]

    def forget(self, service: str, generation: int | None = None) -> None:
        """Drop the kept lines of a generation, or of a service."""
        if generation is None:
            self._rings.pop(service, None)
        else:
            self._rings.get(service, {}).pop(generation, None)

    def subscribe(
        self, service: str | None = None, *, lines: int = 0, queue_lines_max: int = QUEUE_LINES_MAX
    ) -> Subscription:
        """Follow one service, or everything: ``async with`` it, then iterate. Begins with the last ``lines`` kept
        lines, without a gap or a repetition; ends when the book is closed."""
        return Subscription(self, service, lines, queue_lines_max)

    async def wait_match(self, service: str, generation: int, pattern: re.Pattern[str]) -> LogLine:
        """The first line of a generation that the pattern is found in, kept ones included; waits without end."""
        for line in self.tail(service, generation):
            if line.stream is not LogStream.SUPERVISOR and pattern.search(line.text):
                return line
        watcher = _Watcher(service, generation, pattern, asyncio.get_running_loop().create_future())
        self._watchers.append(watcher)
        try:
            return await watcher.found
        finally:
            self._watchers.remove(watcher)

    def reopen(self) -> None:
        """Go on in the files that have the names now (after rotation by others)."""
        for sink in self._sinks:
            sink.reopen()
        self._tell()

    async def drain(self, timeout_ms: int) -> None:
        """Wait until the sinks have written what they took, at most that long in total."""
        async with asyncio.TaskGroup() as group:
            for sink in self._sinks:
                group.create_task(sink.drain(timeout_ms))

    def close(self) -> None:
        """End the followers, when they have read what waits for them, and close the sinks."""
        self._is_closed = True
        for follower in tuple(self._followers):
            follower.end()
        for sink in self._sinks:
            sink.close()
        self._sinks = ()

    def follow(self, follower: Subscription) -> None:
        """For `Subscription`: hand it every line from now on."""
        self._followers.add(follower)
        if self._is_closed:
            follower.end()

    def unfollow(self, follower: Subscription) -> None:
        """For `Subscription`: hand it no more lines."""
        self._followers.discard(follower)

    def _publish(self, lines: Sequence[LogLine]) -> None:
        if not lines:
            return
        ring = self._ring(lines[0])
        for line in lines:
            ring.add(line)
        for watcher in self._watchers:
            watcher.look(lines)
        for follower in self._followers:
            follower.offer(lines)
        for sink in self._sinks:
            sink.write(lines)
        self._tell()

    def _tell(self) -> None:
        """Say what trouble the sinks have, in the log itself: another sink may work."""
        if self._is_telling:
            return
        self._is_telling = True
        for sink in self._sinks:
            notice = sink.take_notice()
            if notice is not None:
                self.say(Level.WARNING, notice)
        self._is_telling = False

    def _ring(self, line: LogLine) -> _Ring:
        generations = self._rings.setdefault(line.service, {})
        if line.generation not in generations:
            if len(generations) >= GENERATIONS_KEPT:
                del generations[min(generations)]
            generations[line.generation] = {}
        streams = generations[line.generation]
        if line.stream not in streams:
            streams[line.stream] = _Ring(self._lines_kept)
        return streams[line.stream]


class Subscription:
    """The lines of one follower. One who falls behind reads what waits, then a line that says how many are missing,
    then goes on with new ones."""

    def __init__(self, book: LogBook, service: str | None, lines: int, queue_lines_max: int) -> None:
        self.dropped = 0
        """Lines this follower has missed so far."""
        self._book = book
        self._service = service
        self._lines = lines
        self._queue_lines_max = queue_lines_max
        self._queue: deque[LogLine] = deque()
        self._missed = 0
        self._missed_last: LogLine | None = None
        self._has_ended = False
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._lines:
            self._queue.extend(self._book.tail(self._service, lines=self._lines))
        self._book.follow(self)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._book.unfollow(self)

    def __aiter__(self) -> AsyncIterator[LogLine]:
        return self

    async def __anext__(self) -> LogLine:
        while True:
            if self._queue:
                return self._queue.popleft()
            if self._missed_last is not None:
                return self._missed_line(self._missed_last)
            if self._has_ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def offer(self, lines: Sequence[LogLine]) -> None:
        """Take lines that fit, count those that do not."""
        if self._service not in (None, lines[0].service):
            return
        room = 0 if self._missed else self._queue_lines_max - len(self._queue)
        self._queue.extend(lines[: max(0, room)])
        missed = lines[max(0, room) :]
        if missed:
            self.dropped += len(missed)
            self._missed += len(missed)
            self._missed_last = missed[-1]
        self._news.set()

    def end(self) -> None:
        """No more lines will come."""
        self._has_ended = True
        self._news.set()

    def _missed_line(self, last: LogLine) -> LogLine:
        text = f"{self._missed} lines were left out here: they were not read fast enough"
        self._missed, self._missed_last = 0, None
        return LogLine(last.number, last.at_us, "", 0, LogStream.SUPERVISOR, text, Level.WARNING)


class _Ring:
    """The last lines of one stream, bounded in number and in characters."""

    def __init__(self, lines_max: int) -> None:
        self.lines: deque[LogLine] = deque()
        self._lines_max = lines_max
        self._characters = 0

    def add(self, line: LogLine) -> None:
        self.lines.append(line)
        self._characters += len(line.text)
        while len(self.lines) > self._lines_max or (self._characters > CHARACTERS_KEPT and len(self.lines) > 1):
            self._characters -= len(self.lines.popleft().text)


@dataclass(frozen=True, slots=True, eq=False)
class _Watcher:
    service: str
    generation: int
    pattern: re.Pattern[str]
    found: asyncio.Future[LogLine]

    def look(self, lines: Sequence[LogLine]) -> None:
        first = lines[0]
        if (first.service, first.generation) != (self.service, self.generation) or self.found.done():
            return
        if first.stream is LogStream.SUPERVISOR:
            return
        for line in lines:
            if self.pattern.search(line.text):
                self.found.set_result(line)
                return


def open_sinks(spec: LogSpec, stdout_fd: int = 1) -> list[Sink]:
    """The places a configuration asks for: standard output, and a rotating file if it names one."""
    sinks: list[Sink] = [StandardOutput(log_format(spec.format), stdout_fd)]
    if spec.path:
        sinks.append(RotatingFile(Path(spec.path), log_format(spec.format), spec.bytes_max, spec.files_max))
    return sinks
