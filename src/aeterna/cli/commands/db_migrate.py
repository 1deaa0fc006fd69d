"""``aeterna db migrate``."""

from __future__ import annotations

import argparse
import asyncio

from aeterna.cli import output
from aeterna.cli.database import add_db_option, chosen_upkeep, waiting
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_json_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.ledger import Upkeep

DESCRIPTION = """\
Bring the schema of a store up to date, under a lock that lets only one process do it at a time. Programs and servers do
the same when they open a store; this is for doing it before they start. A PostgreSQL schema that is not there is made.
A store of a newer release is refused and stays as it is. Make a backup first: there is no way back.
"""

EPILOG = """\
examples:
  aeterna db migrate
  aeterna db migrate --db postgresql://localhost/aeterna
  aeterna db migrate --db postgresql://localhost/aeterna --print-sql    read it first, or have somebody else run it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_db_option(parser)
    parser.add_argument("--print-sql", action="store_true", help="print the SQL that would run, and change nothing")
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Migrate the store."""
    upkeep = chosen_upkeep(args.db)
    if args.print_sql:
        return asyncio.run(_print_sql(upkeep, as_json=args.json))
    with waiting(f"migrating {upkeep.description}", is_wanted=not args.json):
        before, after = asyncio.run(upkeep.migrate())
    if args.json:
        output.print_json({"store": upkeep.description, "from": before, "to": after})
    elif before == after:
        print(f"{upkeep.description}: version {after} is the newest, nothing to do")
    else:
        print(f"{upkeep.description}: migrated from version {before} to version {after}")
    return OK


async def _print_sql(upkeep: Upkeep, *, as_json: bool) -> int:
    before, newest = await upkeep.versions()
    script = await upkeep.script(before)
    if as_json:
        output.print_json({"store": upkeep.description, "from": before, "to": max(before, newest), "sql": script})
    elif script:
        print(script)
    else:
        output.note(f"{upkeep.description}: version {before} needs no migration")
    return OK
