"""Rows and texts as PostgreSQL holds them, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import RunRow
from aeterna.durable.stores.postgres.faults import corrupt
from aeterna.durable.stores.postgres.place import Place

_ESCAPE = "\x1a"
"""A PostgreSQL text cannot hold NUL. It is written as this and '0', and this itself as this and '1'."""


def to_db(text: str) -> str:
    """``text`` as it is written."""
    if "\0" in text or _ESCAPE in text:
        return text.replace(_ESCAPE, _ESCAPE + "1").replace("\0", _ESCAPE + "0")
    return text


def from_db(text: str) -> str:
    """The text that was written."""
    if _ESCAPE in text:
        return text.replace(_ESCAPE + "0", "\0").replace(_ESCAPE + "1", _ESCAPE)
    return text


def maybe_to_db(text: str | None) -> str | None:
    """`to_db`, and None for None."""
    return None if text is None else to_db(text)


def all_to_db(texts: Sequence[str] | None) -> list[str] | None:
    """`to_db` of each, and None for None."""
    return None if texts is None else [to_db(text) for text in texts]


def requires_to_db(requires: tuple[str, ...]) -> str:
    """Capabilities as one text, because an array of arrays has to be a rectangle: '' or JSON."""
    return msgspec.json.encode([to_db(each) for each in requires]).decode() if requires else ""


def run_row(row: Mapping[str, Any], place: Place) -> RunRow:
    """A row as ``$run`` selects it; raises `StoreCorruptError` for a state nobody knows."""
    try:
        return RunRow(
            key=row["key"],
            id=from_db(row["id"]),
            workflow=from_db(row["workflow"]),
            version=from_db(row["version"]),
            state=State(row["state"]),
            detail=Detail(row["detail"]),
            created_us=row["created_us"],
            updated_us=row["updated_us"],
            length=row["length"],
            epoch=row["epoch"],
            owner=row["owner"],
            wake_us=row["wake_us"],
            finished_us=row["finished_us"],
            parent=None if row["parent"] is None else from_db(row["parent"]),
            note=from_db(row["note"]),
            queue=from_db(row["queue"]),
            priority=row["priority"],
            share=from_db(row["share"]),
            requires=tuple(map(from_db, row["requires"])),
            crashes=row["crashes"],
        )
    except ValueError as error:
        raise corrupt(place, "read", f"run {row['id']!r}: {error}") from error
