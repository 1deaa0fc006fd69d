"""What the commands that tell a run something have in common: one order to the server, one line about it."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option
from aeterna.cli.quoting import quoted
from aeterna.cli.server_choice import ServerChoice

WHERE = "It needs a running server: --server, or AETERNA_SERVER."


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The run's id, and the options of a server."""
    parser.add_argument("id", metavar="ID", help="the run's id")
    add_app_option(parser)
    add_json_option(parser)


def order(args: argparse.Namespace, server: ServerChoice, verb: str, body: dict[str, Any], told: str) -> int:
    """Give the order about run ``args.id``; ``told``: the line for people, which may name ``id`` and parts of the
    answer."""
    with server.connect() as client:
        answer = client.post(f"/api/workflows/{quoted(args.id)}/{verb}", body)
    if args.json:
        output.print_json({"id": args.id, **answer})
    else:
        print(told.format(**{**answer, "id": args.id}))
    return OK
