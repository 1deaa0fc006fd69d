"""``aeterna db verify``."""

from __future__ import annotations

import argparse
import asyncio

from aeterna.cli import output
from aeterna.cli.database import add_db_option, chosen_upkeep, progress
from aeterna.cli.exit_codes import FAILED, OK
from aeterna.cli.options import add_json_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.audit import Auditor
    from aeterna.durable.stores.ledger import Finding, Upkeep

DESCRIPTION = """\
Read everything that a store holds and say what is wrong with it, one line per finding, with the run and the number of
the event: damaged pages (of a file), histories with a hole, events or values that cannot be read, histories that no
engine could have written, rows that say something else than their history, rows that belong to nothing. Changes
nothing, and programs go on meanwhile: it looks at the store as it was when it began. Exit code 0 if nothing is wrong, 1
if something is, 3 if there is no store of this release to read.
"""

EPILOG = """\
examples:
  aeterna db verify
  aeterna db verify --quick --db orders-backup.db
  aeterna db verify --db postgresql://localhost/aeterna --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_db_option(parser)
    parser.add_argument("--quick", action="store_true", help="do not compare the indexes of a file with its tables")
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Verify the store."""
    return asyncio.run(_verify(chosen_upkeep(args.db), is_quick=args.quick, as_json=args.json))


async def _verify(upkeep: Upkeep, *, is_quick: bool, as_json: bool) -> int:
    from aeterna.durable.stores.audit import Auditor, audit
    from aeterna.durable.stores.ledger import Wanted

    auditor = Auditor()
    found: list[Finding] = []
    with progress("verifying runs", is_wanted=not as_json) as show:
        async with upkeep.read() as ledger:
            show.total = await ledger.count(Wanted()) if show.is_shown else 0
            async for finding in audit(ledger, auditor, show.step, is_quick=is_quick):
                found.append(finding)
                if not as_json:
                    print(finding.text)
    _report(upkeep.description, found, auditor, as_json=as_json)
    return FAILED if found else OK


def _report(store: str, found: list[Finding], auditor: Auditor, *, as_json: bool) -> None:
    runs, events = auditor.runs, auditor.events
    if as_json:
        findings = [
            {"app": each.namespace or None, "run": each.run or None, "event": each.event, "problem": each.problem}
            for each in found
        ]
        document = {"store": store, "ok": not found, "runs": runs, "events": events, "findings": findings}
        output.print_json(document)
    elif found:
        output.note(f"{store}: {len(found)} findings in {runs} runs; keep it as it is, and restore a backup")
    else:
        print(f"{store}: nothing is wrong with {runs} runs and their {events} events")
