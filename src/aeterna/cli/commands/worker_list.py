"""``aeterna worker list``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option
from aeterna.cli.ordering import WHERE
from aeterna.cli.server_choice import required_server

EPILOG = """\
examples:
  aeterna worker list
  aeterna worker list --server localhost:7233 --app orders --json
"""

_HEADS = ("SESSION", "NAME", "HOST", "PID", "RUNS", "ROOM", "SINCE", "QUEUES")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = f"Show the workers that are connected. {WHERE}\n", EPILOG
    add_app_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the workers."""
    with required_server(args).connect() as client:
        workers = client.get("/api/workers")["workers"]
    now = output.now_us()
    if args.json:
        output.print_json({"workers": workers})
    elif workers:
        print(output.table(_HEADS, [_row(worker, now) for worker in workers], {"NAME": output.cut_middle}))
    else:
        output.note("no worker is connected")
    return OK


def _row(worker: dict[str, Any], now: int) -> tuple[str, ...]:
    queues = json.loads(worker["about"] or "{}").get("queues")
    return (
        str(worker["number"]),
        worker["name"],
        worker["host"],
        str(worker["pid"]),
        str(worker["runs"]),
        "-" if worker["room"] is None else str(worker["room"]),
        output.moment(worker["opened_us"], now),
        "all" if queues is None else ", ".join(queues),
    )
