"""``aeterna queue put``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.commands.queue_list import rate_text
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.quantities import limit, rate

DESCRIPTION = """\
Set the limits of a queue; those that are not given stay as they are, and `none` lifts one. A limit holds for runs that
start from now on, in all workers together. A program that declares the queue with app.queue() sets it again when it
starts.
"""

EPILOG = """\
examples:
  aeterna queue put gpu --concurrency 4
  aeterna queue put mail --rate 100/min --burst 10 --concurrency-per-share 1
  aeterna queue put mail --rate none
"""

_UNSET = object()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("name", metavar="QUEUE", help="the queue's name")
    for option, kind, metavar, text in (
        ("--concurrency", limit, "N", "runs that have started and not ended"),
        ("--concurrency-per-share", limit, "N", "the same for each share"),
        ("--rate", rate, "N/PERIOD", "starts in a period: 10/s, 100/min, 5/30s"),
        ("--burst", limit, "N", "starts that the rate allows at once"),
    ):
        parser.add_argument(option, type=kind, metavar=metavar, default=_UNSET, help=text)
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Change one queue."""
    limits: dict[str, Any] = {}
    for name in ("concurrency", "concurrency_per_share", "burst"):
        value = getattr(args, name)
        if value is not _UNSET:
            limits[name] = value
    if limits.get("burst", 1) is None:
        limits["burst"] = 1
    if args.rate is not _UNSET:
        limits |= {"rate": None} if args.rate is None else {"rate": args.rate[0], "rate_period_us": args.rate[1]}
    given = {name: value for name, value in limits.items() if value is not None}
    unlimited = [name for name, value in limits.items() if value is None]
    request = {"op": "queue.put", "name": args.name, "limits": given, "unlimited": unlimited}
    queue = ask(args, request, creates=True)["queue"]
    if args.json:
        output.print_json(queue)
    else:
        print(output.fields(_pairs(queue)))
    return OK


def _pairs(queue: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("queue", queue["name"]),
        ("runs at a time", str(queue["concurrency"] or "no limit")),
        ("of each share", str(queue["concurrency_per_share"] or "no limit")),
        ("starts", rate_text(queue) if queue["rate"] else "no limit"),
        ("paused", "yes" if queue["is_paused"] else ""),
    ]
