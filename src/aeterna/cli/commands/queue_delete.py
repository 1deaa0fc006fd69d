"""``aeterna queue delete``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.kernel.errors import UsageError

DESCRIPTION = """\
Forget the limits of a queue. Runs in it stay, and start without limits. A program that declares it puts
it again when it starts.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument("name", metavar="QUEUE", help="the queue's name")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Delete one queue."""
    if not ask(args, {"op": "queue.delete", "name": args.name})["deleted"]:
        raise UsageError(f"queue {args.name!r} has no limits; `aeterna queue list` shows those there are")
    if args.json:
        output.print_json({"name": args.name, "deleted": True})
    else:
        print(f"forgot the limits of queue {args.name!r}")
    return OK
