"""The store: version, who holds it, what is in it, damage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aeterna.cli.diagnosis import Finding, Verdict
from aeterna.cli.output import bytes_text
from aeterna.cli.runs import STUCK_HINT, note_text
from aeterna.durable.operations.owner import ask_owner
from aeterna.durable.stores.sqlite.about import lock_holder, store_version
from aeterna.durable.stores.sqlite.checking import check_database
from aeterna.durable.stores.sqlite.glance import Glance
from aeterna.durable.stores.sqlite.run_lines import LineQuery, RunLine
from aeterna.kernel.errors import AeternaError, StoreError

STUCK_SHOWN_MAX = 5
PAGE = 1_000


def findings(path: Path, *, is_quick: bool) -> Iterator[Finding]:
    """What is to be said about the store at ``path``, which exists."""
    try:
        version = store_version(path)
    except StoreError as error:
        yield Finding(Verdict.FAIL, "store", str(error))
        return
    yield writable(path, f"{path}: {bytes_text(_size(path))}, version {version}")
    yield owner(path)
    yield stuck(path)
    if not is_quick:
        yield damage(check_database(path))


def writable(path: Path, about: str) -> Finding:
    """Whether this user may change the file."""
    if os.access(path, os.W_OK):
        return Finding(Verdict.OK, "store", about)
    return Finding(Verdict.FAIL, "store", f"{about}, read-only for this user", "Change its mode or its owner.")


def owner(path: Path) -> Finding:
    """Who has the store open, and whether it answers."""
    try:
        answer = ask_owner(path, {"op": "ping"})
    except AeternaError as error:
        return Finding(
            Verdict.WARN, "owner", str(error), "The program may be busy or stopped: commands that write will wait."
        )
    if answer is not None:
        return Finding(Verdict.OK, "owner", f"process {answer['pid']} executes its runs and answers")
    holder = lock_holder(path)
    if holder is None:
        return Finding(Verdict.OK, "owner", "none: no program executes its runs now")
    advice = "It is starting or ending, or is no engine. Try again, or look at that process."
    return Finding(Verdict.WARN, "owner", f"locked by {holder}, which does not answer", advice)


def stuck(path: Path) -> Finding:
    """Runs that the code at hand could not go on with."""
    try:
        with Glance(path) as glance:
            lines = [line for line in _unfinished(glance) if line.detail == "stuck"]
    except StoreError as error:
        return Finding(Verdict.FAIL, "runs", str(error), "Restore a backup, or name another store.")
    if not lines:
        return Finding(Verdict.OK, "runs", "none is stuck")
    shown = "; ".join(f"{line.id}: {note_text(line)}" for line in lines[:STUCK_SHOWN_MAX])
    more = f"; and {len(lines) - STUCK_SHOWN_MAX} more" if len(lines) > STUCK_SHOWN_MAX else ""
    advice = f"What to do: {STUCK_HINT.format(id='ID')}."
    return Finding(Verdict.WARN, "runs", f"{len(lines)} stuck: {shown}{more}", advice)


def damage(found: list[str]) -> Finding:
    """What reading everything brought to light."""
    if not found:
        return Finding(Verdict.OK, "integrity", "everything can be read")
    advice = "Keep the file, and restore a backup (`aeterna db backup` makes them)."
    return Finding(Verdict.FAIL, "integrity", "; ".join(found[:STUCK_SHOWN_MAX]), advice)


def _unfinished(glance: Glance) -> Iterator[RunLine]:
    before: int | None = None
    while True:
        lines, before = glance.runs(LineQuery(states=("PENDING", "RUNNING"), limit=PAGE, before=before))
        yield from lines
        if before is None:
            return


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists())
