"""``aeterna db export``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aeterna.cli import output
from aeterna.cli.database import add_db_option, chosen_upkeep, progress
from aeterna.cli.exit_codes import FAILED, OK
from aeterna.cli.options import add_json_option, add_run_filters
from aeterna.kernel.errors import StoreError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.ledger import Upkeep, Wanted

DESCRIPTION = """\
Write runs with their histories as JSON lines, to a new file or to standard output: one line per run, then one per event
of it, oldest run first. Values are JSON where they were recorded as JSON. It takes the store as it is at this moment,
in a few megabytes of memory however large it is, and programs go on meanwhile. A last line says how many runs and
events there were; a file without it is torn. Exit code 1 if some events cannot be read; they are exported as they are.
"""

EPILOG = """\
examples:
  aeterna db export runs.jsonl
  aeterna db export --state FAILED --type fulfil | jq -r 'select(.kind == "run").run'
  aeterna db export --run A-1 --run A-2 --db postgresql://localhost/aeterna
"""

_STANDARD_OUTPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "target", nargs="?", default=_STANDARD_OUTPUT, metavar="FILE", help="the new file (default: standard output)"
    )
    add_run_filters(parser)
    parser.add_argument("--run", action="append", metavar="ID", help="only this run, may be given several times")
    parser.add_argument("--app", "--namespace", metavar="NAME", help="only runs of this app")
    add_db_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Export the runs."""
    from aeterna.durable.stores.ledger import Wanted

    if args.json and args.target == _STANDARD_OUTPUT:
        raise UsageError("--json says how the export went, on standard output: give a FILE for the export itself")
    wanted = Wanted(args.app, args.type, tuple(args.state or ()), tuple(args.run or ()))
    with _opened(args.target) as file:
        counts = asyncio.run(_export(chosen_upkeep(args.db), wanted, file, as_json=args.json))
    if args.json:
        output.print_json({"target": args.target, **counts})
    else:
        damage = f"; {counts['damaged']} pieces of histories cannot be read" if counts["damaged"] else ""
        output.note(f"exported {counts['runs']} runs with {counts['events']} events{damage}")
    return FAILED if counts["damaged"] else OK


async def _export(upkeep: Upkeep, wanted: Wanted, file: BinaryIO, *, as_json: bool) -> dict[str, int]:
    from aeterna.durable.operations.export import Export

    is_wanted = not (as_json or file.isatty())
    with progress("exporting runs", is_wanted=is_wanted) as show:
        async with upkeep.read() as ledger:
            show.total = await ledger.count(wanted) if show.is_shown else 0
            export = Export(ledger, wanted)
            seen = 0
            async for line in export.lines(output.now_us()):
                file.write(line)
                if export.runs != seen:
                    seen = export.runs
                    show.step()
    return {"runs": export.runs, "events": export.events, "damaged": export.damaged}


@contextmanager
def _opened(target: str) -> Iterator[BinaryIO]:
    """The file, new, and gone again if the export fails."""
    if target == _STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    try:
        file = path.open("xb")
    except FileExistsError:
        raise UsageError(f"{path} exists already, and an export never overwrites; give a new name") from None
    except OSError as error:
        raise UsageError(f"cannot export to {path}: {error.strerror}") from error
    try:
        with file:
            yield file
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(f"cannot export to {path}: {error.strerror}; what was written is removed") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
