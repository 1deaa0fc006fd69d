"""``aeterna schedule delete``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.kernel.errors import UsageError

DESCRIPTION = """\
Delete a schedule. Runs that it started stay. A program that declares it puts it again when it starts.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument("id", metavar="ID", help="the schedule's id")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Delete one schedule."""
    if not ask(args, {"op": "schedule.delete", "id": args.id})["deleted"]:
        raise UsageError(f"schedule {args.id!r} does not exist; `aeterna schedule list` shows those there are")
    if args.json:
        output.print_json({"id": args.id, "deleted": True})
    else:
        print(f"deleted schedule {args.id!r}")
    return OK
