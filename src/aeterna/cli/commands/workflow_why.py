"""``aeterna workflow why``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option

DESCRIPTION = """\
Say what a run waits for, and what would make it go on: a limit, a worker, a time, a signal, a child (and what that
waits for).
"""

EPILOG = """\
examples:
  aeterna workflow why order-1
  aeterna workflow why order-1 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="ID", help="the run's id")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Explain one run."""
    why = ask(args, {"op": "why", "id": args.id})["why"]
    if args.json:
        output.print_json(why)
    else:
        print("\n".join(_lines(why, "")))
    return OK


def _lines(why: dict[str, Any], indent: str) -> Iterator[str]:
    run_id = why.get("run_id", "")
    for number, reason in enumerate([why, *why.get("also", ())]):
        subject = f"run {run_id}: " if not number else "and "
        yield f"{indent}{subject}{reason['text']}"
        if reason.get("unblocks"):
            yield f"{indent}  unblocked by: {reason['unblocks']}"
        if reason.get("because"):
            yield from _lines(reason["because"], indent + "  ")
