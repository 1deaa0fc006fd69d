"""SQL files: "-- name: x" starts the statement x, "-- part: x" what ``$x`` stands for in statements."""

from __future__ import annotations

import re
from collections.abc import Iterable


def named_statements(texts: Iterable[str]) -> dict[str, str]:
    """``name -> statement`` of all texts together, without comments and with the parts filled in."""
    found: dict[str, dict[str, str]] = {"name": {}, "part": {}}
    for text in texts:
        _, *pieces = re.split(r"^-- (name|part): (\w+)\n", text, flags=re.MULTILINE)
        for kind, name, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
            assert name not in found[kind], f"two statements are called {name}"
            found[kind][name] = _strip_comments(body)
    parts = found["part"]
    return {name: re.sub(r"\$([a-z]\w*)", lambda mark: parts[mark[1]], body) for name, body in found["name"].items()}


def _strip_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")
