"""The nearest spelling of what somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN_MAX = 3


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean 'a' or 'b'?``, or nothing."""
    names = list(dict.fromkeys(known))
    starting = [name for name in names if wrong and name.startswith(wrong)]
    near = [*starting[:SHOWN_MAX], *difflib.get_close_matches(wrong, names, SHOWN_MAX)]
    found = list(dict.fromkeys(near))[:SHOWN_MAX]
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""
