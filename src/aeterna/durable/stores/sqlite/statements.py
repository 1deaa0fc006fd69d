"""The statements of ``queries.sql`` and the migrations, by name."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

# Not importlib.resources, which takes six of the fifty milliseconds that a command may take.
_PACKAGE = Path(__file__).parent


def _load_queries() -> dict[str, str]:
    text = _PACKAGE.joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: _strip_comments(body) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _strip_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")


@cache
def load_migrations() -> tuple[tuple[int, str], ...]:
    """``(version, script)`` of each migration, in order; the version is the number the file's name starts with."""
    files = (file for file in _PACKAGE.joinpath("migrations").iterdir() if file.name.endswith(".sql"))
    return tuple(sorted((int(file.name.split("_")[0]), file.read_text("utf-8")) for file in files))


QUERIES = _load_queries()
"""``name -> statement``."""
