"""``aeterna schedule show``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.commands.schedule_list import when_text
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option, whole_number

EPILOG = """\
examples:
  aeterna schedule show nightly
  aeterna schedule show nightly --coming 20
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = EPILOG
    parser.add_argument("id", metavar="ID", help="the schedule's id")
    parser.add_argument(
        "--coming", type=whole_number, default=5, metavar="N", help="show its next N times (default: %(default)s)"
    )
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print one schedule."""
    schedule = ask(args, {"op": "schedule.get", "id": args.id, "coming": max(args.coming, 1)})
    if args.json:
        output.print_json(schedule)
    else:
        print(output.fields(pairs(schedule)))
    return OK


def pairs(schedule: dict[str, Any]) -> list[tuple[str, str]]:
    """A schedule for people."""
    spec, now = schedule["spec"], output.now_us()
    found = [
        ("schedule", schedule["id"]),
        ("workflow", f"{spec['workflow']} (version {spec.get('version', '1')})"),
        ("fires", when_text(spec)),
        ("jitter", output.duration(spec["jitter_us"]) if spec.get("jitter_us") else ""),
        ("overlap", spec.get("overlap", "skip")),
        ("queue", spec.get("queue", "")),
        ("note", spec.get("note", "")),
        ("last run", schedule["last_run"]),
        ("paused", "yes" if schedule["is_paused"] else ""),
    ]
    return found + [("next" if not n else "", output.moment(at, now)) for n, at in enumerate(schedule["coming_us"])]
