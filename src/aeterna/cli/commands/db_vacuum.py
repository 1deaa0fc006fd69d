"""``aeterna db vacuum``."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from aeterna.cli import output
from aeterna.cli.database import add_db_option, chosen_upkeep, waiting
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_json_option
from aeterna.kernel.errors import StoreLockedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.ledger import Upkeep

DESCRIPTION = """\
Give space back. A file is written anew without the pages that deleted runs have left; that takes as much room again
while it lasts, and writing waits. If a program has the file open it is asked to do that itself; where it cannot be
asked (a server), the command says who has it, does nothing, and the exit code is 3. Of PostgreSQL, partitions of events
that no run needs are dropped, and the server vacuums and analyzes the tables while everybody goes on.
"""

EPILOG = """\
examples:
  aeterna db vacuum
  aeterna db vacuum --db postgresql://localhost/aeterna
"""

_ANSWER_S_MAX = 3_600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_db_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Vacuum the store."""
    upkeep = chosen_upkeep(args.db)
    with waiting(f"vacuuming {upkeep.description}", is_wanted=not args.json):
        before, after = _vacuum(upkeep)
    if args.json:
        output.print_json({"store": upkeep.description, "bytes_before": before, "bytes_after": after})
    else:
        print(f"{upkeep.description}: {output.bytes_text(before)} before, {output.bytes_text(after)} after")
    return OK


def _vacuum(upkeep: Upkeep) -> tuple[int, int]:
    try:
        return asyncio.run(upkeep.vacuum())
    except StoreLockedError:
        path: Path | None = getattr(upkeep, "path", None)
        if path is None:
            raise
        from aeterna.durable.operations.owner import ask_owner

        answer = ask_owner(path, {"op": "vacuum"}, answer_s_max=_ANSWER_S_MAX)
        if answer is None:
            raise
        return answer["before"], answer["after"]
