"""Text for people: aligned tables, times, durations; and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aeterna.kernel.clock import SystemClock

US_PER_S = 1_000_000
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def now_us() -> int:
    """The time the output is about."""
    return SystemClock().now_us()


def print_json(value: Any) -> None:
    """One JSON document; readable, because people read it too."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, left-aligned, two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows))
    return "\n".join(line.rstrip() for line in lines)


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
    if span_us < US_PER_S:
        return f"{span_us / 1_000:.1f} ms"
    if span_us < 60 * US_PER_S:
        return f"{span_us / US_PER_S:.2f} s"
    seconds = round(span_us / US_PER_S)
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86_400:
        return f"{seconds // 3_600} h {seconds % 3_600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3_600} h"


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
