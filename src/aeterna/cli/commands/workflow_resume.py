"""``aeterna workflow resume``."""

from __future__ import annotations

import argparse

from aeterna.cli.ordering import WHERE, add_run_options, order
from aeterna.cli.server_choice import required_server

DESCRIPTION = f"""\
Let a paused run go on, or have a stuck one tried again. {WHERE}
"""

EPILOG = """\
examples:
  aeterna workflow resume order-1
"""

_TOLD = "run {id!r} may go on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Resume one run."""
    return order(args, required_server(args), "resume", {}, _TOLD)
