"""The statements of ``sql/*.sql`` and the migrations, by name, for the schema and the kind of server they are meant
for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent

SCHEMA = "aeterna"
"""The schema as the files have it."""

RUN_COLUMNS = (
    "key id workflow version state detail created_us updated_us length epoch owner wake_us finished_us parent note "
    "queue priority share requires crashes"
).split()
"""The columns of a run, in the order of `RunRow`'s fields; ``$run`` in a statement stands for them."""

_PARTS = {
    "$run": ", ".join(f"run.{column}" for column in RUN_COLUMNS),
    # What a claim's choice allows: the parameters 3 to 7 of all statements that claim.
    "$allowed": (
        "run.crashes < $3::bigint AND run.requires <@ $7::text[] "
        "AND (run.queue = '' OR $6::text[] IS NULL OR run.queue = ANY ($6)) "
        "AND ($4::text[] IS NULL OR EXISTS (SELECT 1 FROM unnest($4::text[], $5::text[]) AS able (workflow, version) "
        "WHERE able.workflow = run.workflow AND able.version = run.version))"
    ),
}


@cache
def load_statements(schema: str = SCHEMA) -> Mapping[str, str]:
    """``name -> statement``, for this schema."""
    found: dict[str, str] = {}
    for file in sorted(_PACKAGE.joinpath("sql").glob("*.sql")):
        parts = re.split(r"^-- name: (\w+)\n", file.read_text("utf-8"), flags=re.MULTILINE)
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            assert name not in found, f"two statements are called {name}"
            found[name] = _in_schema(_fill_in(_strip_comments(body)), schema)
    return found


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


def _fill_in(text: str) -> str:
    for mark, part in _PARTS.items():
        text = text.replace(mark, part)
    return text


def _strip_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")
