"""Looking for damage: everything SQLite can tell, that every history reads from its first event to its last, and that
no row belongs to nothing. What events mean is looked at by `stores.audit`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aeterna.durable.stores.audit import Auditor
from aeterna.durable.stores.ledger import Finding, Wanted
from aeterna.durable.stores.sqlite.header import refuse_foreign
from aeterna.durable.stores.sqlite.ledger import SqliteLedger, open_ledger
from aeterna.kernel.errors import StoreCorruptError, StoreError


def check_database(path: Path) -> list[str]:
    """What is wrong with the store at ``path``, one line per finding; empty when nothing is. Reads everything.

    Works on one snapshot through a connection of its own. A file too damaged to be read on is a finding, not an
    error. Raises `StoreError` where there is no store of this release to look at."""
    findings: list[str] = []
    refuse_foreign(path)
    try:
        with open_ledger(path) as ledger:
            try:
                findings += (finding.text for finding in _look(ledger))
            except StoreError as error:
                findings.append(str(error))
    except StoreCorruptError as error:
        findings.append(str(error))
    return findings


def _look(ledger: SqliteLedger) -> Iterator[Finding]:
    yield from ledger.damage(is_quick=False)
    auditor = Auditor(understands=False)
    for run, segment in ledger.walk(Wanted()):
        yield from auditor.take(run, segment)
    yield from auditor.end()
    yield from ledger.orphans()
