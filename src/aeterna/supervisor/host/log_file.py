"""A log file that starts anew when it is full, and keeps a few of its predecessors by number.

``web.log`` is the newest, ``web.log.1`` the one before. The invariants: no trouble with the file raises or stops the
lines from going elsewhere; lines that could not be written are counted and told when writing works again; no file grows
beyond its limit unless rotating fails.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aeterna.supervisor.host.logs import LogFormat, LogLine

_RETRY_US = 1_000_000
"""How often a file that cannot be opened is tried again."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class RotatingFile:
    """A sink that writes to ``path``, creating its directory; at most ``files_max`` files of ``bytes_max`` bytes.

    What is no regular file is never rotated. A file that cannot be opened is tried again with later lines.
    """

    def __init__(self, path: Path, line_format: LogFormat, bytes_max: int, files_max: int) -> None:
        self.dropped = 0
        self.path = path
        self._format = line_format
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._fd = -1
        self._bytes = 0
        self._rotates_at_bytes = bytes_max
        self._is_regular = True
        self._is_mid_line = False
        self._retry_at_us = 0
        self._lost = 0
        self._trouble = ""
        self._notice: str | None = None
        self._open()

    def write(self, lines: Sequence[LogLine]) -> None:
        if self._fd < 0 and (lines[0].at_us < self._retry_at_us or not self._open()):
            self._retry_at_us = max(self._retry_at_us, lines[0].at_us + _RETRY_US)
            self._lose(len(lines))
            return
        buffer = bytearray()
        for line in lines:
            data = self._format(line)
            filled = self._bytes + len(buffer)
            if filled and filled + len(data) > self._rotates_at_bytes and self._is_regular:
                self._append(buffer)
                buffer = bytearray()
                self._rotate()
            buffer += data
        self._append(buffer)

    def take_notice(self) -> str | None:
        notice, self._notice = self._notice, None
        return notice

    def reopen(self) -> None:
        """Go on in the file that has the name now; stays with the one it has if that cannot be opened."""
        self._renew()

    async def drain(self, timeout_ms: int) -> None:
        """Nothing to do: what was taken is with the system."""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._retry_at_us = 2**63  # never again

    def _renew(self) -> bool:
        old = self._fd
        if not self._open():
            return False
        if old >= 0:
            os.close(old)
        return True

    def _open(self) -> bool:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, _FLAGS, 0o640)
        except OSError as error:
            self._complain(f"log file {self.path} cannot be opened: {error.strerror}")
            return False
        found = os.fstat(fd)
        self._fd = fd
        self._is_regular = stat.S_ISREG(found.st_mode)
        self._bytes = found.st_size
        self._rotates_at_bytes = self._bytes_max
        self._is_mid_line = False
        return True

    def _append(self, data: bytearray) -> None:
        if not data:
            return
        if self._is_mid_line:
            data = bytearray(b"\n") + data
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._complain(f"log file {self.path} cannot be written: {error.strerror}")
            self._lose(data[written:].count(b"\n"))
        else:
            self._recover()
        self._bytes += written
        if written:
            self._is_mid_line = data[written - 1] != ord("\n")

    def _rotate(self) -> None:
        """Move each file on by one number, the oldest out, and begin a new one."""
        try:
            if self._files_max <= 1:
                os.ftruncate(self._fd, 0)
                self._bytes = 0
                return
            for number in range(self._files_max - 1, 1, -1):
                with suppress(FileNotFoundError):
                    self._numbered(number - 1).replace(self._numbered(number))
            with suppress(FileNotFoundError):
                self.path.replace(self._numbered(1))
        except OSError as error:
            self._complain(f"log file {self.path} cannot be rotated: {error.strerror}")
            self._rotates_at_bytes = self._bytes + self._bytes_max
            return
        if not self._renew():
            self._rotates_at_bytes = self._bytes + self._bytes_max

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _lose(self, count: int) -> None:
        self.dropped += count
        self._lost += count

    def _complain(self, trouble: str) -> None:
        """Tell once, and again only if the trouble is another one."""
        if trouble != self._trouble:
            self._trouble = self._notice = trouble

    def _recover(self) -> None:
        if self._lost:
            self._notice = f"log file {self.path} is written again; {self._lost} lines are missing in it"
            self._lost = 0
            self._trouble = ""
