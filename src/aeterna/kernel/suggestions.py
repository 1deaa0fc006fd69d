"""The nearest spelling of what somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN_MAX = 3
CLOSE = 0.7
"""How much two names must have in common, 1 being everything, for one to be a misspelling of the other."""
BEGINNING_MIN = 3
"""How many letters a beginning must have to say what was meant."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean 'a' or 'b'?``, or nothing if no name is close."""
    names = list(dict.fromkeys(known))
    starting = [name for name in names if len(wrong) >= BEGINNING_MIN and name.startswith(wrong)]
    near = [*starting[:SHOWN_MAX], *difflib.get_close_matches(wrong, names, SHOWN_MAX, CLOSE)]
    found = list(dict.fromkeys(near))[:SHOWN_MAX]
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""
