"""Standard output as a place for log lines, whoever reads it and however slowly.

The descriptor is shared with the terminal or the shell that started us, so it must not be made non-blocking: it is
opened a second time, or asked before each write. The invariants: no write blocks; at most `PENDING_BYTES_MAX` wait in
memory; lines beyond that are dropped, counted, and their number is written when there is room again.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import stat
from collections.abc import Callable, Sequence

from aeterna.supervisor.host.logs import Level, LogFormat, LogLine, LogStream

PENDING_BYTES_MAX = 256 * 1024

_ATOMIC_BYTES = 512
"""A terminal or pipe that says it has room takes this much without blocking (POSIX: ``PIPE_BUF`` is at least that)."""

_WRITE_BYTES_MAX = 64 * 1024


class StandardOutput:
    """A sink that writes to an inherited descriptor; closing leaves that descriptor open."""

    def __init__(self, line_format: LogFormat, fd: int = 1) -> None:
        self.dropped = 0
        self._format = line_format
        self._fd, self._write_some = _open_non_blocking(fd)
        self._pending = bytearray()
        self._left_out = 0
        self._last: LogLine | None = None
        self._notice: str | None = None
        self._waiting: asyncio.AbstractEventLoop | None = None
        self._emptied: asyncio.Event | None = None

    def write(self, lines: Sequence[LogLine]) -> None:
        if self._pending and self._waiting is None:
            self._flush()
        if self._fd < 0 or self._left_out:
            self._drop(lines)
            return
        data = b"".join(map(self._format, lines))
        if len(self._pending) + len(data) > PENDING_BYTES_MAX and self._pending:
            self._drop(lines)
            return
        self._pending += data
        if self._waiting is None:
            self._flush()

    def take_notice(self) -> str | None:
        notice, self._notice = self._notice, None
        return notice

    def reopen(self) -> None:
        """Nothing to do: standard output has no name that could have moved."""

    async def drain(self, timeout_ms: int) -> None:
        if not self._pending:
            return
        self._emptied = asyncio.Event()
        self._flush()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._emptied.wait()
        except TimeoutError:
            pass  # what is left is lost with us

    def close(self) -> None:
        if self._fd < 0:
            return
        self._flush()
        self.dropped += self._pending.count(b"\n")
        self._let_go()

    def _drop(self, lines: Sequence[LogLine]) -> None:
        self.dropped += len(lines)
        self._left_out += len(lines)
        self._last = lines[-1]

    def _flush(self) -> None:
        try:
            while self._pending:
                del self._pending[: self._write_some(self._pending[:_WRITE_BYTES_MAX])]
                if not self._pending and self._left_out:
                    self._pending += self._format(self._left_out_line())
        except BlockingIOError:
            self._wait()
        except OSError as error:
            self.dropped += self._pending.count(b"\n")
            self._notice = f"standard output is gone ({error.strerror}); log lines are no longer written there"
            self._let_go()
        else:
            self._stop_waiting()
        if not self._pending and self._emptied is not None:
            self._emptied.set()

    def _left_out_line(self) -> LogLine:
        assert self._last is not None
        text = f"{self._left_out} lines were left out here: standard output was not read fast enough"
        self._left_out = 0
        return LogLine(self._last.number, self._last.at_us, "", 0, LogStream.SUPERVISOR, text, Level.WARNING)

    def _wait(self) -> None:
        if self._waiting is not None:
            return
        try:
            self._waiting = asyncio.get_running_loop()
        except RuntimeError:
            return  # no loop any more: the next write tries again
        self._waiting.add_writer(self._fd, self._flush)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.remove_writer(self._fd)
            self._waiting = None

    def _let_go(self) -> None:
        self._stop_waiting()
        self._pending.clear()
        os.close(self._fd)
        self._fd = -1


def _open_non_blocking(fd: int) -> tuple[int, Callable[[bytearray], int]]:
    """A descriptor of our own for the same place, and what writes to it without blocking."""
    kind = os.fstat(fd).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        try:
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            own = os.dup(fd)  # somebody else's terminal, no reader any more, or no /proc
            return own, lambda data: _write_if_ready(own, data)
        return own, lambda data: os.write(own, data)
    own = os.dup(fd)
    if stat.S_ISSOCK(kind):
        return own, lambda data: _send(own, data)
    return own, lambda data: os.write(own, data)


def _write_if_ready(fd: int, data: bytearray) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, data[:_ATOMIC_BYTES])


def _send(fd: int, data: bytearray) -> int:
    sock = socket.socket(fileno=fd)
    try:
        return sock.send(data, socket.MSG_DONTWAIT)
    finally:
        sock.detach()
