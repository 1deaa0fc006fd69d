"""``aeterna workflow fork``."""

from __future__ import annotations

import argparse

from aeterna.cli.options import whole_number
from aeterna.cli.ordering import WHERE, add_run_options, order
from aeterna.cli.server_choice import required_server
from aeterna.kernel.errors import UsageError

DESCRIPTION = f"""\
Start a new run that has what another one recorded before a step, or before an event, and goes on from there. {WHERE}
"""

EPILOG = """\
examples:
  aeterna workflow fork order-1 --step charge
  aeterna workflow fork order-1 4 --id order-1-again
"""

_TOLD = "forked run {id!r} as {run[id]}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_run_options(parser)
    parser.add_argument(
        "position", nargs="?", type=whole_number, metavar="NUMBER", help="the event's number, from the history"
    )
    parser.add_argument("--step", metavar="NAME", help="in place of a number: the step that is executed again")
    parser.add_argument(
        "--occurrence",
        type=whole_number,
        default=1,
        metavar="NUMBER",
        help="which of the steps of that name (default: 1)",
    )
    parser.add_argument("--id", dest="new_id", help="the new run's id (default: a new one)")


def run(args: argparse.Namespace) -> int:
    """Fork one run."""
    if (args.position is None) == (args.step is None):
        raise UsageError("name a step, --step NAME, or the number of an event: one of both")
    where = {"position": args.position} if args.step is None else {"step": args.step, "occurrence": args.occurrence}
    body = {**where, "id": args.new_id}
    return order(args, required_server(args), "fork", body, _TOLD)
