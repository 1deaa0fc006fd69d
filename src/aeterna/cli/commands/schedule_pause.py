"""``aeterna schedule pause``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option

DESCRIPTION = """\
Let a schedule fire no more until it is resumed. Runs that it started go on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument("id", metavar="ID", help="the schedule's id")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Pause one schedule."""
    ask(args, {"op": "schedule.pause", "id": args.id})
    if args.json:
        output.print_json({"id": args.id, "is_paused": True})
    else:
        print(f"paused schedule {args.id!r}; `aeterna schedule resume {args.id}` lets it fire again")
    return OK
