"""From the values of a statement to the records of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import RunRow
from aeterna.durable.stores.sqlite.faults import corrupt


def run_row(values: tuple[Any, ...], path: Path) -> RunRow:
    """A row of ``runs`` as its statements select it; raises `StoreCorruptError` for a state nobody knows."""
    key, run_id, workflow, version, state, detail, *rest = values
    rest[-2] = tuple(json.loads(rest[-2])) if rest[-2] else ()
    try:
        return RunRow(key, run_id, workflow, version, State(state), Detail(detail), *rest)
    except ValueError as error:
        raise corrupt(path, "read", f"run {run_id!r}: {error}") from error


def requires_text(requires: tuple[str, ...]) -> str:
    """Capabilities as the column holds them."""
    return json.dumps(requires) if requires else ""
