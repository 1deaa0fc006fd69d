"""``aeterna schedule resume``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option

DESCRIPTION = """\
Let a schedule fire again, from its first time from now on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument("id", metavar="ID", help="the schedule's id")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Resume one schedule."""
    ask(args, {"op": "schedule.resume", "id": args.id})
    if args.json:
        output.print_json({"id": args.id, "is_paused": False})
    else:
        print(f"resumed schedule {args.id!r}")
    return OK
