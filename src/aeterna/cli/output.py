"""Text for people: aligned tables, times, durations; and JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aeterna.kernel.clock import SystemClock

US_PER_S = 1_000_000
_GAP = 2
_CUT_LEAST = 8
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def now_us() -> int:
    """The time the output is about."""
    return SystemClock().now_us()


def print_json(value: Any) -> None:
    """One JSON document; readable, because people read it too."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


Cut = Callable[[str, int], str]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], cuts: Mapping[str, Cut] | None = None) -> str:
    """Columns as wide as their widest cell, left-aligned, two spaces apart.

    ``cuts`` says which columns may be cut, and how, where a terminal is too narrow; elsewhere nothing is cut."""
    columns = [list(column) for column in zip(heads, *rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    cut = {heads.index(head): how for head, how in (cuts or {}).items()}
    for number, width in _fitted(widths, list(cut), terminal_columns()).items():
        columns[number] = [cut[number](cell, width) for cell in columns[number]]
        widths[number] = width
    cut_rows = zip(*columns, strict=True)
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cut_rows)
    return "\n".join(line.rstrip() for line in lines)


def _fitted(widths: Sequence[int], shrinking: Sequence[int], room: int | None) -> dict[int, int]:
    """The widths of the columns that shrink, the widest first, until the row has room."""
    found = {number: widths[number] for number in shrinking}
    surplus = 0 if room is None else sum(widths) + _GAP * (len(widths) - 1) - room
    while surplus > 0 and found:
        widest = max(found, key=lambda number: found[number])
        if found[widest] <= _CUT_LEAST:
            break
        found[widest] -= 1
        surplus -= 1
    return {number: width for number, width in found.items() if width < widths[number]}


def terminal_columns() -> int | None:
    """How wide the terminal is that the output goes to; None if it goes elsewhere."""
    if not sys.stdout.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdigit() else os.get_terminal_size(sys.stdout.fileno()).columns


def cut_middle(text: str, length_max: int) -> str:
    """The text without its middle where it is too long: of ids the end tells most, and the beginning something."""
    if len(text) <= length_max:
        return text
    end = (length_max - 3) // 2
    return f"{text[: length_max - 3 - end]}...{text[len(text) - end :]}"


def fields(pairs: Sequence[tuple[str, str]]) -> str:
    """One ``name: value`` per line, values aligned; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown)


def iso(at_us: int | None) -> str | None:
    """The time as ISO 8601 in UTC, with microseconds."""
    if at_us is None:
        return None
    return _moment(at_us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment(at_us: int, now: int) -> str:
    """The time for people: ``2026-01-31 12:00:00Z (3 min ago)``."""
    return f"{_moment(at_us):%Y-%m-%d %H:%M:%SZ} ({distance(at_us, now)})"


def distance(at_us: int, now: int) -> str:
    """How far away a time is: ``3 min ago``, ``in 2 h``."""
    if abs(now - at_us) < US_PER_S:
        return "now"
    return f"{_rough(now - at_us)} ago" if at_us < now else f"in {_rough(at_us - now)}"


def duration(span_us: int) -> str:
    """A duration with the precision that matters at its size: ``850 us``, ``12.3 ms``, ``4.21 s``, ``3 min 20 s``."""
    if span_us < 1_000:
        return f"{span_us} us"
    if span_us < US_PER_S - 50:
        return f"{_decimal(span_us / 1_000, 1)} ms"
    if span_us < 60 * US_PER_S - 5_000:
        return f"{_decimal(span_us / US_PER_S, 2)} s"
    seconds = round(span_us / US_PER_S)
    if seconds < 3_600:
        return _parts((seconds // 60, "min"), (seconds % 60, "s"))
    minutes = round(seconds / 60)
    if minutes < 1_440:
        return _parts((minutes // 60, "h"), (minutes % 60, "min"))
    hours = round(seconds / 3_600)
    return _parts((hours // 24, "d"), (hours % 24, "h"))


def _decimal(number: float, digits: int) -> str:
    return f"{number:.{digits}f}".rstrip("0").rstrip(".")


def _parts(*parts: tuple[int, str]) -> str:
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def shorten(text: str, length_max: int) -> str:
    """The text on one line, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= length_max else f"{line[: length_max - 3]}..."


def value_text(value: Any) -> str:
    """A recorded value on one line."""
    return json.dumps(value, ensure_ascii=False)


def bytes_text(count: int) -> str:
    """A size: ``12.4 MB``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} TB"


def note(text: str) -> None:
    """A remark beside the result."""
    print(text, file=sys.stderr)


def _moment(at_us: int) -> datetime:
    seconds, rest_us = divmod(at_us, US_PER_S)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_us)


def _rough(span_us: int) -> str:
    seconds = span_us // US_PER_S
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
