"""``aeterna workflow terminate``."""

from __future__ import annotations

import argparse

from aeterna.cli.ordering import WHERE, add_run_options, order
from aeterna.cli.server_choice import required_server

DESCRIPTION = f"""\
End a run at once, as CANCELLED, without its code seeing it: nothing of it can clean up. {WHERE}
"""

EPILOG = """\
examples:
  aeterna workflow terminate order-1 --reason "it hangs"
"""

_TOLD = "ended run {id!r}: nothing of it could clean up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_run_options(parser)
    parser.add_argument("--reason", default="", help="why; recorded in the run's history")


def run(args: argparse.Namespace) -> int:
    """Terminate one run."""
    body = {"reason": args.reason}
    return order(args, required_server(args), "terminate", body, _TOLD)
