"""The statements of ``queries.sql`` and the migrations, by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aeterna.durable.stores.named_sql import named_statements

# Not importlib.resources, which takes six of the fifty milliseconds that a command may take.
_PACKAGE = Path(__file__).parent


@cache
def load_migrations() -> tuple[tuple[int, str], ...]:
    """``(version, script)`` of each migration, in order; the version is the number the file's name starts with."""
    files = (file for file in _PACKAGE.joinpath("migrations").iterdir() if file.name.endswith(".sql"))
    return tuple(sorted((int(file.name.split("_")[0]), file.read_text("utf-8")) for file in files))


QUERIES = named_statements([_PACKAGE.joinpath("queries.sql").read_text("utf-8")])
"""``name -> statement``."""
