"""``aeterna workflow signal``."""

from __future__ import annotations

import argparse

from aeterna.cli.json_words import value_of_text
from aeterna.cli.ordering import WHERE, add_run_options, order
from aeterna.cli.server_choice import required_server

DESCRIPTION = f"""\
Send a signal to a run. It is kept until the run looks for it. {WHERE}
"""

EPILOG = """\
examples:
  aeterna workflow signal order-1 approved '{"by": "ann"}' --message-id approval-1
"""

_TOLD = "run {id!r} has the signal"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_run_options(parser)
    parser.add_argument("name", metavar="NAME", help="its name")
    parser.add_argument("payload", nargs="?", default="null", metavar="VALUE", help="JSON where it parses, else text")
    parser.add_argument("--message-id", default="", metavar="KEY", help="a second one of the same key changes nothing")


def run(args: argparse.Namespace) -> int:
    """Send one signal."""
    body = {"name": args.name, "payload": value_of_text(args.payload), "id": args.message_id}
    return order(args, required_server(args), "signal", body, _TOLD)
