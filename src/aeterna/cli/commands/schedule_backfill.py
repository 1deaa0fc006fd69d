"""``aeterna schedule backfill``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.quantities import time_us

DESCRIPTION = """\
Start the runs of a schedule's times in the past. They have the ids they would have had, so those that exist are not
started again. It goes on in the background, as a schedule of its own that deletes itself when it is done.
"""

EPILOG = """\
examples:
  aeterna schedule backfill nightly --from 2026-01-01 --to 2026-01-31
  aeterna schedule backfill nightly --from 2026-01-01 --to 2026-01-31T23:00:00Z --overlap allow_all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="ID", help="the schedule's id")
    parser.add_argument("--from", dest="start", type=time_us, required=True, metavar="WHEN", help="the first time")
    parser.add_argument("--to", dest="end", type=time_us, required=True, metavar="WHEN", help="the last time")
    parser.add_argument(
        "--overlap",
        choices=("buffer_all", "allow_all"),
        default="buffer_all",
        metavar="POLICY",
        help="buffer_all: one after the other (default); allow_all: all at once",
    )
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Begin one backfill."""
    request = {
        "op": "schedule.backfill",
        "id": args.id,
        "start_us": args.start,
        "end_us": args.end,
        "overlap": args.overlap,
    }
    backfill = ask(args, request)["schedule"]
    if args.json:
        output.print_json({"id": args.id, "schedule": backfill})
    else:
        print(f"began {backfill}; `aeterna schedule list` shows it until it is done")
    return OK
