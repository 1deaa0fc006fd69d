"""Rows and texts as PostgreSQL holds them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def run_row(row: Iterable[Any], place: Place) -> RunRow:
    """A row as ``$run`` selects it, in the order of the record's fields; raises `StoreCorruptError` for a state nobody
    knows."""
    key, run_id, workflow, version, state, detail, *numbers, parent, note, queue, priority, share, requires, crashes = (
        from_db(value) if isinstance(value, str) else value for value in row
    )
    try:
        occupation = State(state), Detail(detail)
    except ValueError as error:
        raise corrupt(place, "read", f"run {run_id!r}: {error}") from error
    waiting = (queue, priority, share, tuple(map(from_db, requires)))
    values: tuple[Any, ...] = (key, run_id, workflow, version, *occupation, *numbers, parent, note, *waiting, crashes)
    return RunRow(*values)
