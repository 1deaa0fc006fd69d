"""Looking for damage: everything SQLite can tell, that every history reads from its first event to its
last, and that what rows say of each other holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw

from aeterna.durable.core.segment import decode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.sqlite.connections import open_reader
from aeterna.durable.stores.sqlite.faults import explaining
from aeterna.durable.stores.sqlite.header import refuse_foreign
from aeterna.durable.stores.sqlite.statements import QUERIES
from aeterna.kernel.errors import StoreCorruptError, StoreError


def check_database(path: Path) -> list[str]:
    """What is wrong with the store at ``path``, one line per finding; empty when nothing is. Reads everything.

    Works on one snapshot through a connection of its own. A file too damaged to be read on is a finding, not an
    error. Raises `StoreError` where there is no store of this release to look at."""
    findings: list[str] = []
    refuse_foreign(path)
    try:
        db = open_reader(path)
    except StoreCorruptError as error:
        return [str(error)]
    try:
        with explaining(path, "check", db):
            db.execute("BEGIN")
            findings += _integrity_findings(db)
            findings += _run_findings(db)
            findings += _segment_findings(db)
            findings += _message_findings(db)
    except StoreError as error:
        findings.append(str(error))
    finally:
        db.close()
    return findings


def _integrity_findings(db: apsw.Connection) -> Iterator[str]:
    for (line,) in db.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"sqlite: {line}"


def _run_findings(db: apsw.Connection) -> Iterator[str]:
    states, details = frozenset(State), frozenset(Detail)
    for row in db.execute(QUERIES["all_runs"]):
        run_id, state, detail, finished_us = row[1], row[4], row[5], row[12]
        if state not in states or detail not in details:
            yield f"run {run_id!r}: unknown state {state!r} or detail {detail!r}"
        elif State(state).is_final != (finished_us is not None):
            yield f"run {run_id!r}: state {state} does not fit finished_us {finished_us}"


def _message_findings(db: apsw.Connection) -> Iterator[str]:
    for run, number in db.execute(QUERIES["lost_messages"]):
        yield f"message {number} is for run number {run}, which there is not"
    for run_id, owner in db.execute(QUERIES["lost_owners"]):
        yield f"run {run_id!r}: session {owner} owns it, and has ended"


def _segment_findings(db: apsw.Connection) -> Iterator[str]:
    current, position = None, 0
    for run, run_id, seq, count, body in db.execute(QUERIES["all_segments"]):
        if run != current:
            current, position = run, 0
            if run_id is None:
                yield f"segments of run number {run} have no run"
        name = f"run {run_id!r}, segment {seq}"
        if seq != position:
            yield f"{name}: should start at event {position}"
        position = seq + count
        try:
            held = len(decode_segment(body))
        except StoreError as error:
            yield f"{name}: {error}"
            continue
        if held != count:
            yield f"{name}: holds {held} events instead of {count}"
