"""``aeterna schedule trigger``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option

DESCRIPTION = """\
Start a run of a schedule now, whatever its times and its overlap policy, also while it is paused. Prints the run's id.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description = DESCRIPTION
    parser.add_argument("id", metavar="ID", help="the schedule's id")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Start one run."""
    run_id = ask(args, {"op": "schedule.trigger", "id": args.id})["run"]
    if args.json:
        output.print_json({"id": args.id, "run": run_id})
    else:
        print(run_id)
    return OK
