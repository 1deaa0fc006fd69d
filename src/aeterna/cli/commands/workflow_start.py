"""``aeterna workflow start``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.json_words import value_of_text
from aeterna.cli.options import add_app_option, add_json_option, whole_number
from aeterna.cli.ordering import WHERE
from aeterna.cli.server_choice import required_server

DESCRIPTION = f"""\
Start a run that a worker executes, and print its id. {WHERE}
"""

EPILOG = """\
examples:
  aeterna workflow start fulfil A-1 2 --app orders
  aeterna workflow start fulfil A-1 --id order-1 --queue mail --priority 5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("workflow", metavar="WORKFLOW", help="the workflow's recorded name")
    parser.add_argument("args", nargs="*", metavar="ARG", help="its arguments: JSON where it parses, else text")
    parser.add_argument("--id", help="the run's id; the same id is the same run (default: a new one)")
    parser.add_argument("--version", default="1", help="the workflow's version (default: %(default)s)")
    parser.add_argument("--queue", default="", metavar="NAME", help="where it waits for its turn")
    parser.add_argument("--priority", type=whole_number, default=0, metavar="N", help="lower is sooner (default: 0)")
    add_app_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Start one."""
    wanted: dict[str, Any] = {
        "workflow": args.workflow,
        "args": [value_of_text(text) for text in args.args],
        "id": args.id,
        "version": args.version,
        "queue": args.queue,
        "priority": args.priority,
    }
    with required_server(args).connect() as client:
        answer = client.post("/api/workflows", {name: value for name, value in wanted.items() if value is not None})
    if args.json:
        output.print_json(answer)
        return OK
    if not answer["is_new"]:
        output.note(f"run {answer['run']['id']!r} exists already, and is the one that is meant")
    print(answer["run"]["id"])
    return OK
