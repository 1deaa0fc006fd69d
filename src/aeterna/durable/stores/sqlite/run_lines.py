"""Runs as people list them: records that cost nothing to load, also where the runs come from a server."""

from __future__ import annotations

from typing import NamedTuple


class RunLine(NamedTuple):
    """One run; the fields are those of `contract.RunRow`, plain, after the name of its namespace; ``requires`` is
    a JSON array, or empty."""

    namespace: str
    key: int
    id: str
    workflow: str
    version: str
    state: str
    detail: str
    created_us: int
    updated_us: int
    length: int
    epoch: int
    owner: int | None
    wake_us: int | None
    finished_us: int | None
    parent: str | None
    note: str
    queue: str
    priority: int
    share: str
    requires: str
    crashes: int


class LineQuery(NamedTuple):
    """Which runs to list: those that match every field, newest first. ``before``: the cursor of an earlier page."""

    namespace: str | None = None
    workflow: str | None = None
    states: tuple[str, ...] = ()
    limit: int = 100
    before: int | None = None
