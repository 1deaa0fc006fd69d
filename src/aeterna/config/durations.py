"""Durations as Go and compose write them: ``5s``, ``1m30s``, ``250ms``, ``1.5h``; inside, whole milliseconds."""

from __future__ import annotations

import re
from fractions import Fraction

from aeterna.config.mistakes import UnfitError

_MS: dict[str, Fraction] = {
    "d": Fraction(86_400_000),
    "h": Fraction(3_600_000),
    "m": Fraction(60_000),
    "s": Fraction(1_000),
    "ms": Fraction(1),
    "us": Fraction(1, 1_000),
    "µs": Fraction(1, 1_000),
    "ns": Fraction(1, 1_000_000),
}
"""Milliseconds of each unit, the longest first."""

_SPELLED = {"sec": "s", "min": "m", "hr": "h", "hour": "h", "day": "d", "msec": "ms", "millisecond": "ms"} | {
    "second": "s",
    "minute": "m",
    "usec": "us",
    "microsecond": "us",
    "minut": "m",
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([a-zµ]+)", re.ASCII)
_LOOSE_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Zµ]*)[\s,]*", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+)", re.ASCII)
EXAMPLES = "a number with a unit, like 5s, 250ms, 1m30s or 1h"

MS_MAX = 3_650 * 86_400_000
"""Ten years: longer waits are mistakes, and timers of the operating system still hold this."""


def parse_duration(text: str) -> int:
    """The duration in milliseconds, rounded up, so that a short one never becomes none; raises `UnfitError`."""
    if text == "0":
        return 0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise _not_understood(text)
    unknown = next((unit for _, unit in parts if unit not in _MS), None)
    if unknown is not None:
        raise UnfitError(f"there is no unit {unknown!r}", _right(text))
    total = _sum(parts)
    if total is None:
        raise UnfitError("its units do not go from long to short, each once", EXAMPLES)
    if total > MS_MAX:
        raise UnfitError("it is longer than ten years", f"at most {MS_MAX // 86_400_000}d")
    return -int(-total // 1)


def _sum(parts: list[tuple[str, str]]) -> Fraction | None:
    """Milliseconds of all parts together; None if a unit is unknown or they are in disorder."""
    known = list(_MS)
    order = [known.index(unit) for _, unit in parts if unit in _MS]
    if len(order) < len(parts) or order != sorted(set(order)):
        return None
    return sum((Fraction(number) * _MS[unit] for number, unit in parts), Fraction(0))


def format_duration(ms: int) -> str:
    """The shortest text for that many milliseconds; `parse_duration` gives them back."""
    parts: list[str] = []
    rest = ms
    for unit in ("h", "m", "s", "ms"):
        count, rest = divmod(rest, int(_MS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _not_understood(text: str) -> UnfitError:
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", text, re.ASCII):
        return UnfitError("it has no unit", f"{text}s for seconds, or {text}ms for milliseconds")
    if text.startswith("-"):
        return UnfitError("a duration is not negative", f"{EXAMPLES}, or 0s for none")
    return UnfitError("it is no duration", _right(text))


def _right(text: str) -> str:
    guess = _guess(text)
    return f"{EXAMPLES}; did you mean {guess!r}?" if guess else EXAMPLES


def _guess(text: str) -> str:
    """What was probably meant; empty if nothing can be told."""
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = (int(number or 0) for number in clock.groups())
        return format_duration(1_000 * (seconds + 60 * (minutes + 60 * hours)))
    found = _LOOSE_PART.findall(text.strip())
    if not found or "".join(f"{number}{unit}" for number, unit in found) != re.sub(r"[\s,]", "", text):
        return ""
    parts = [(number, _unit(unit)) for number, unit in found]
    guess = "".join(number + unit for number, unit in parts)
    total = _sum(parts)
    return guess if total is not None and total <= MS_MAX and guess != text else ""


def _unit(written: str) -> str:
    lower = written.lower()
    if lower in _MS:
        return lower
    singular = lower.removesuffix("s")
    return _SPELLED.get(lower) or _SPELLED.get(singular) or written
