"""One line of output, of a service or of the supervisor itself, and how it is written down.

May not know where lines come from or go to. The invariant: a written line is one line, whatever its text contains.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec import Struct


class LogStream(StrEnum):
    """Where a line was written."""

    OUT = "out"
    ERR = "err"
    SUPERVISOR = "aeterna"
    """Not by the service: the supervisor says it."""


class Level(StrEnum):
    """How much a line matters, in rising order."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}

_LEVEL_WORDS = {
    **dict.fromkeys(("TRACE", "DEBUG"), Level.DEBUG),
    **dict.fromkeys(("INFO", "NOTICE"), Level.INFO),
    **dict.fromkeys(("WARN", "WARNING"), Level.WARNING),
    **dict.fromkeys(("ERROR", "CRITICAL", "FATAL", "PANIC"), Level.ERROR),
}
_LEVEL_WORD = re.compile(rf"\b({'|'.join(_LEVEL_WORDS)})\b", re.IGNORECASE)
_LEVEL_WITHIN = 80
"""Characters at the beginning of a line among which its level is looked for."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029]|\x1b(?!\[[0-9;]{0,32}m)")
"""What would break a line, move the cursor or command the terminal. Tabs stay, and colours."""

_COLOURS_OFF = "\x1b[0m"


class LogLine(Struct, frozen=True):
    """One line. ``number`` rises by one with every line of a book; ``at_us`` is the wall clock when it was read;
    ``level`` is None for what a service wrote, which has said no level."""

    number: int
    at_us: int
    service: str
    generation: int
    stream: LogStream
    text: str
    level: Level | None = None


class LogFormat(Protocol):
    """Makes a line's bytes, its end included."""

    def __call__(self, line: LogLine) -> bytes: ...


class Sink(Protocol):
    """Somewhere lines are written to. Nothing here blocks or raises: what cannot be written is dropped and counted."""

    dropped: int
    """Lines that were lost so far."""

    def write(self, lines: Sequence[LogLine]) -> None:
        """Write these lines, or drop them."""
        ...

    def take_notice(self) -> str | None:
        """What people should hear about this sink's trouble, once; None if there is nothing new."""
        ...

    def reopen(self) -> None:
        """Open the place anew, after somebody has moved the file away."""
        ...

    async def drain(self, timeout_ms: int) -> None:
        """Wait until what was taken is written, at most that long."""
        ...

    def close(self) -> None:
        """Write what can be written at once, and let go of the place."""
        ...


def level_of(line: LogLine) -> Level:
    """The line's own level; else the one a service names at its beginning, as most formats do; else INFO."""
    if line.level is not None:
        return line.level
    found = _LEVEL_WORD.search(line.text, 0, _LEVEL_WITHIN)
    return _LEVEL_WORDS[found[1].upper()] if found else Level.INFO


class _Stamp:
    """A time with milliseconds; the rest is made once per second, for many lines share it."""

    def __init__(self, template: str, to_parts: Callable[[int], time.struct_time]) -> None:
        self._template = template
        self._to_parts = to_parts
        self._second = -1
        self._text = ""

    def __call__(self, at_us: int) -> str:
        second, rest_us = divmod(at_us, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime(self._template, self._to_parts(second))
        return f"{self._text}.{rest_us // 1000:03d}"


class TextFormat:
    """``12:34:56.789 web/3 out | text``, in local time; control characters are shown by their codes."""

    def __init__(self) -> None:
        self._stamp = _Stamp("%H:%M:%S", time.localtime)

    def __call__(self, line: LogLine) -> bytes:
        text = line.text
        if not text.isprintable():
            text = _CONTROL.sub(_show_control, text)
            if "\x1b" in text:
                text += _COLOURS_OFF
        if line.level in (Level.WARNING, Level.ERROR):
            text = f"{line.level}: {text}"
        stream = line.stream.value  # formatting an enum's member itself is slow
        whose = f"{line.service}/{line.generation} {stream}" if line.service else stream
        return f"{self._stamp(line.at_us)} {whose} | {text}\n".encode(errors="backslashreplace")


class _JsonLine(Struct):
    ts: str
    level: Level
    service: str
    generation: int
    stream: LogStream
    text: str


class JsonFormat:
    """One JSON object per line: ``ts`` (UTC), ``level``, ``service``, ``generation``, ``stream``, ``text``."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._stamp = _Stamp("%Y-%m-%dT%H:%M:%S", time.gmtime)

    def __call__(self, line: LogLine) -> bytes:
        stamp = self._stamp(line.at_us) + "Z"
        record = _JsonLine(stamp, level_of(line), line.service, line.generation, line.stream, line.text)
        return self._encoder.encode(record) + b"\n"


def log_format(name: str) -> LogFormat:
    """The format a configuration names: ``json``, else text."""
    return JsonFormat() if name == "json" else TextFormat()


def _show_control(found: re.Match[str]) -> str:
    char = ord(found[0])
    return f"\\x{char:02x}" if char < 256 else f"\\u{char:04x}"
