"""``aeterna queue list``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option

EPILOG = """\
examples:
  aeterna queue list
  aeterna queue list --json
"""

_HEADS = ("QUEUE", "WAITING", "RUNNING", "LIMIT", "PER SHARE", "RATE", "OLDEST", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = EPILOG
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the queues."""
    queues = ask(args, {"op": "queue.list"})["queues"]
    if args.json:
        output.print_json({"queues": queues})
    elif queues:
        now = output.now_us()
        print(output.table(_HEADS, [_row(queue, now) for queue in queues]))
    else:
        output.note("no queue has limits or runs")
    return OK


def _row(queue: dict[str, Any], now: int) -> tuple[str, ...]:
    oldest = queue["oldest_us"]
    return (
        queue["name"],
        str(queue["pending"]),
        str(queue["running"]),
        _limit(queue["concurrency"]),
        _limit(queue["concurrency_per_share"]),
        rate_text(queue),
        "" if oldest is None else output.duration(now - oldest),
        "paused" if queue["is_paused"] else "",
    )


def _limit(limit: int | None) -> str:
    return "-" if limit is None else str(limit)


def rate_text(queue: dict[str, Any]) -> str:
    """The rate limit of a queue."""
    if queue["rate"] is None:
        return "-"
    burst = f", {queue['burst']} at once" if queue["burst"] > 1 else ""
    return f"{queue['rate']} per {output.duration(queue['rate_period_us'])}{burst}"
