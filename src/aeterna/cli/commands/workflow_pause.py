"""``aeterna workflow pause``."""

from __future__ import annotations

import argparse

from aeterna.cli.ordering import WHERE, add_run_options, order
from aeterna.cli.server_choice import required_server

DESCRIPTION = f"""\
Ask a run to pause: steps under way end and are recorded, nothing new begins until it is resumed. {WHERE}
"""

EPILOG = """\
examples:
  aeterna workflow pause order-1 --reason "prices are wrong"
"""

_TOLD = "asked run {id!r} to pause; `aeterna workflow resume {id}` lets it go on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_run_options(parser)
    parser.add_argument("--reason", default="", help="why; recorded in the run's history")


def run(args: argparse.Namespace) -> int:
    """Pause one run."""
    body = {"reason": args.reason}
    return order(args, required_server(args), "pause", body, _TOLD)
