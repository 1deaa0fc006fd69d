"""The reading end of a service's standard output or error: bytes to lines, without ever keeping the service waiting.

May not know whose pipe it is. The invariants: what the service writes is always read, a bounded amount per turn of the
loop, so that a chatty service delays others only a little; nothing written is lost but what exceeds a line's limit.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

LINE_BYTES_MAX = 64 * 1024
CUT_MARK = f" … [cut at {LINE_BYTES_MAX // 1024} KiB]"

TURN_BYTES_MAX = 16 * 1024
"""One reading: some hundred lines, which take about a millisecond to pass on."""

DRAIN_BYTES_MAX = 4 * 1024**2
"""What `drain` reads at most: somebody who goes on writing must not hold it."""

_PIPE_BYTES = 256 * 1024
"""Room for what a service writes while the supervisor is busy, or being replaced."""

_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux only


class LineCutter:
    """Bytes in, whole lines out. Keeps what has no end yet; a line over the limit is given out cut, with a mark."""

    def __init__(self) -> None:
        self._partial = b""
        self._is_skipping = False
        """Inside the rest of a line that was given out cut."""

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes."""
        *whole, rest = (self._partial + data).split(b"\n")
        if whole and self._is_skipping:
            del whole[0]
            self._is_skipping = False
        lines = [_text(line) for line in whole]
        if len(rest) > LINE_BYTES_MAX and not self._is_skipping:
            lines.append(_text(rest))
            self._is_skipping = True
        self._partial = b"" if self._is_skipping else rest
        return lines

    def flush(self) -> list[str]:
        """The last line, if it had no end."""
        rest, self._partial = self._partial, b""
        self._is_skipping = False
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    cut = line[:LINE_BYTES_MAX].removesuffix(b"\r").decode(errors="replace")
    return cut + CUT_MARK if len(line) > LINE_BYTES_MAX else cut


class LogPipe:
    """Reads one pipe on the running loop, from `start` until its end or `stop`; owns ``fd``.

    ``on_lines`` gets the lines of one reading together; ``on_end`` is called once, when all writers have closed.
    """

    def __init__(
        self,
        fd: int,
        on_lines: Callable[[Sequence[str]], None],
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._fd = fd
        self._on_lines = on_lines
        self._on_end = on_end
        self._cutter = LineCutter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bytes_read = 0

    @property
    def is_open(self) -> bool:
        """Whether the pipe may still bring something."""
        return self._fd >= 0

    def start(self) -> None:
        """Begin reading; more room is asked for, which the system may deny."""
        os.set_blocking(self._fd, False)
        if _SET_PIPE_SIZE is not None:
            with suppress(OSError):
                fcntl.fcntl(self._fd, _SET_PIPE_SIZE, _PIPE_BYTES)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def drain(self) -> None:
        """Read what is there now, an unfinished last line included: for when the process has ended, while others that
        it left behind may keep the pipe open."""
        if self.is_open:
            os.set_blocking(self._fd, False)
        end = self.bytes_read + DRAIN_BYTES_MAX
        while self.is_open and self.bytes_read < end and self._read():
            pass
        self._give(self._cutter.flush())

    def stop(self) -> None:
        """Give out an unfinished last line and close, without waiting for the end; does nothing the second time."""
        if not self.is_open:
            return
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._give(self._cutter.flush())

    def _read(self) -> bool:
        """One bounded reading; whether it brought anything."""
        try:
            data = os.read(self._fd, TURN_BYTES_MAX)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # a terminal whose other side is gone: the end as well
        if not data:
            self.stop()
            if self._on_end is not None:
                self._on_end()
            return False
        self.bytes_read += len(data)
        self._give(self._cutter.feed(data))
        return True

    def _give(self, lines: list[str]) -> None:
        if lines:
            self._on_lines(lines)
