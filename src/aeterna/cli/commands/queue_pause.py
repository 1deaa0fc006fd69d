"""``aeterna queue pause``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option

DESCRIPTION = """\
Let nothing of a queue start until it is resumed. What has started goes on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument("name", metavar="QUEUE", help="the queue's name")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Pause one queue."""
    ask(args, {"op": "queue.pause", "name": args.name})
    if args.json:
        output.print_json({"name": args.name, "is_paused": True})
    else:
        print(f"paused queue {args.name!r}; `aeterna queue resume {args.name}` lets its runs start again")
    return OK
