"""``aeterna workflow query``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.json_words import value_of_text
from aeterna.cli.ordering import WHERE, add_run_options
from aeterna.cli.quoting import quoted
from aeterna.cli.server_choice import required_server

DESCRIPTION = f"""\
Ask the code of a run for something, and print the answer as JSON. Nothing is recorded. {WHERE}
"""

EPILOG = """\
examples:
  aeterna workflow query order-1 progress
  aeterna workflow query order-1 item 3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_run_options(parser)
    parser.add_argument("name", metavar="NAME", help="the query's name")
    parser.add_argument("args", nargs="*", metavar="ARG", help="its arguments: JSON where it parses, else text")


def run(args: argparse.Namespace) -> int:
    """Print the answer."""
    wanted = {"name": args.name, "args": [value_of_text(text) for text in args.args]}
    with required_server(args).connect() as client:
        answer = client.post(f"/api/workflows/{quoted(args.id)}/query", wanted)
    output.print_json(answer if args.json else answer["result"])
    return OK
