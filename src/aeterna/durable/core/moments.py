"""Times in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = 253_402_300_799_999_999
_UNITS = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"))


def iso_utc(at_us: int) -> str:
    """A time as ISO 8601, in UTC, with as many digits as it needs; one after the year 9999 is its last moment."""
    text = (_EPOCH + timedelta(microseconds=min(at_us, _LAST_US))).isoformat().removesuffix("+00:00")
    return (text.rstrip("0") if "." in text else text) + "Z"


def span(us: int) -> str:
    """A duration, never negative, in its two largest units."""
    left = max(us, 0)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
            left = rest
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "0 s"


def when(at_us: int, now_us: int) -> str:
    """A time, and how far away it is."""
    return f"{iso_utc(at_us)} ({f'in {span(at_us - now_us)}' if at_us >= now_us else f'{span(now_us - at_us)} ago'})"
