"""Sizes as compose writes them: ``512m``, ``8GiB``, ``1.5g``; inside, whole bytes. A kilobyte has 1,024 of them."""

from __future__ import annotations

import re
from fractions import Fraction

from aeterna.config.mistakes import UnfitError

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([kmgt]?)(i?b)?", re.ASCII)
_LOOSE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt])\w*", re.ASCII)
EXAMPLES = "a number of bytes, with a unit if you like: 512m, 8GiB or 1.5g (k, m, g and t are powers of 1,024)"

BYTES_MAX = 2**60


def parse_size(text: str) -> int:
    """The size in bytes, rounded up; upper and lower case are the same. Raises `UnfitError`."""
    found = _SIZE.fullmatch(text.lower())
    if found is None or (found[3] == "ib" and not found[2]):
        raise UnfitError("it is no size", _right(text))
    total = Fraction(found[1]) * 1024 ** _POWERS[found[2]]
    if total > BYTES_MAX:
        raise UnfitError("no machine has that much", "at most 1048576t")
    return -int(-total // 1)


def format_size(count: int) -> str:
    """The shortest exact text for that many bytes; `parse_size` gives them back."""
    for unit, power in reversed(_POWERS.items()):
        if count and count % 1024**power == 0 and power:
            return f"{count // 1024**power}{unit.upper()}iB"
    return str(count)


def _right(text: str) -> str:
    found = _LOOSE.fullmatch(text.strip().lower())
    return f"{EXAMPLES}; did you mean '{found[1]}{found[2]}'?" if found else EXAMPLES
