"""``aeterna schedule list``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option

EPILOG = """\
examples:
  aeterna schedule list
  aeterna schedule list --json
"""

_HEADS = ("SCHEDULE", "WORKFLOW", "WHEN", "OVERLAP", "NEXT", "LAST RUN", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = EPILOG
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the schedules."""
    schedules = ask(args, {"op": "schedule.list"})["schedules"]
    if args.json:
        output.print_json({"schedules": schedules})
    elif schedules:
        now = output.now_us()
        rows = [_row(schedule, now) for schedule in schedules]
        print(output.table(_HEADS, rows, {"SCHEDULE": output.cut_middle, "LAST RUN": output.cut_middle}))
    else:
        output.note("there are no schedules")
    return OK


def when_text(spec: dict[str, Any]) -> str:
    """When a schedule fires."""
    times = [repr(expression) for expression in spec.get("cron", ())]
    if times:
        times[-1] += f" {spec.get('time_zone', 'UTC')}"
    if spec.get("every_us") is not None:
        times.append(f"every {output.duration(spec['every_us'])}")
    return ", ".join(times)


def next_text(schedule: dict[str, Any], now: int) -> str:
    """When it fires next."""
    coming = schedule["coming_us"]
    return output.moment(coming[0], now) if coming else "never"


def _row(schedule: dict[str, Any], now: int) -> tuple[str, ...]:
    spec = schedule["spec"]
    return (
        schedule["id"],
        spec["workflow"],
        when_text(spec),
        spec.get("overlap", "skip"),
        "" if schedule["is_paused"] else next_text(schedule, now),
        schedule["last_run"],
        "paused" if schedule["is_paused"] else "",
    )
