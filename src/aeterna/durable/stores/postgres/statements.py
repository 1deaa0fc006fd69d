"""The statements of ``sql/*.sql`` and the migrations, by name, for the schema and the kind of server they are meant
for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from aeterna.durable.stores.named_sql import named_statements

_PACKAGE = Path(__file__).parent

SCHEMA = "aeterna"
"""The schema as the files have it."""


@cache
def load_statements(schema: str = SCHEMA) -> Mapping[str, str]:
    """``name -> statement``, for this schema."""
    texts = [file.read_text("utf-8") for file in sorted(_PACKAGE.joinpath("sql").glob("*.sql"))]
    return {name: _in_schema(body, schema) for name, body in named_statements(texts).items()}


@cache
def load_migrations(schema: str = SCHEMA, *, is_distributed: bool = False) -> tuple[tuple[int, str, str], ...]:
    """``(version, name, script)`` of each migration, in order. Lines that end in "-- not distributed" are for a
    PostgreSQL of its own only."""
    found = []
    for file in sorted(_PACKAGE.joinpath("migrations").glob("*.sql")):
        lines = file.read_text("utf-8").splitlines(keepends=True)
        if is_distributed:
            lines = [line for line in lines if not line.rstrip().endswith("-- not distributed")]
        script = _in_schema("".join(lines), schema)
        found.append((int(file.stem.split("_")[0]), file.stem, script))
    return tuple(found)


def quoted(schema: str) -> str:
    """A schema's name as SQL takes it."""
    return schema if re.fullmatch(r"[a-z_][a-z0-9_]*", schema) else '"' + schema.replace('"', '""') + '"'


def _in_schema(text: str, schema: str) -> str:
    return re.sub(rf"\b{SCHEMA}\.(?=[a-z])", lambda _: f"{quoted(schema)}.", text)
