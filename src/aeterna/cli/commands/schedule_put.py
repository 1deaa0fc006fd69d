"""``aeterna schedule put``."""

from __future__ import annotations

import argparse
import base64
import json
from typing import Any

from aeterna.cli import output
from aeterna.cli.asking import ask
from aeterna.cli.commands.schedule_show import pairs
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option, whole_number
from aeterna.cli.quantities import duration_us, time_us

DESCRIPTION = """\
Create a schedule, or replace it: it starts a run of a workflow again and again. It fires first at its first time from
now on.
"""

EPILOG = """\
examples:
  aeterna schedule put nightly report --cron "30 2 * * *" --time-zone Europe/Berlin
  aeterna schedule put poll fetch --every 5m --jitter 30s --overlap buffer_one --args '["https://example.com"]'

overlap: what happens when it fires and its last run has not ended. skip: nothing. buffer_one, buffer_all: it waits for
the end; one firing, or all of them. cancel_other, terminate_other: the last run is asked to end, or ended at once.
allow_all: both run.

A cron expression with fixed times ('30 2 * * *') fires once a day also when the clocks change: what they skip fires at
the change, what comes twice fires the first time. One with a star in minute or hour fires whenever the clock shows it.
"""

_OVERLAPS = ("skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="ID", help="the schedule's id")
    parser.add_argument("workflow", metavar="WORKFLOW", help="the workflow to start")
    parser.add_argument("--version", default="1", metavar="V", help="its version (default: %(default)s)")
    parser.add_argument("--args", type=_json_list, default=[], metavar="JSON", help="its arguments, as a JSON list")
    parser.add_argument("--kwargs", type=_json_object, default={}, metavar="JSON", help="its named arguments")
    parser.add_argument("--cron", action="append", default=[], metavar="EXPR", help="may be given several times")
    parser.add_argument("--every", type=duration_us, metavar="TIME", help="an interval, like 5m or 1h30m")
    parser.add_argument("--offset", type=duration_us, default=0, metavar="TIME", help="shift the interval by this")
    parser.add_argument("--time-zone", default="UTC", metavar="NAME", help="of cron (default: %(default)s)")
    parser.add_argument("--jitter", type=duration_us, default=0, metavar="TIME", help="fire up to so much later")
    parser.add_argument("--start", type=time_us, metavar="WHEN", help="no firing before")
    parser.add_argument("--end", type=time_us, metavar="WHEN", help="no firing after")
    parser.add_argument("--overlap", choices=_OVERLAPS, default="skip", metavar="POLICY", help="see below")
    parser.add_argument("--catch-up", type=duration_us, metavar="TIME", help="fire what is late by less (default: 1d)")
    parser.add_argument("--queue", default="", metavar="NAME", help="the queue in which its runs wait")
    parser.add_argument("--priority", type=whole_number, default=0, metavar="N", help="lower numbers start sooner")
    parser.add_argument("--note", default="", metavar="TEXT", help="what it is for")
    parser.add_argument("--paused", action="store_true", help="it fires only when it is resumed")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Put one schedule."""
    request = {"op": "schedule.put", "id": args.id, "spec": _spec(args), "is_paused": True if args.paused else None}
    schedule = ask(args, request, creates=True)
    if args.json:
        output.print_json(schedule)
    else:
        print(output.fields(pairs(schedule)))
    return OK


def _spec(args: argparse.Namespace) -> dict[str, Any]:
    arguments = b"j" + json.dumps([args.args, args.kwargs], separators=(",", ":"), ensure_ascii=False).encode()
    given = {
        "workflow": args.workflow,
        "version": args.version,
        "arguments": base64.b64encode(arguments).decode(),
        "cron": args.cron,
        "every_us": args.every,
        "offset_us": args.offset,
        "time_zone": args.time_zone,
        "jitter_us": args.jitter,
        "start_us": args.start,
        "end_us": args.end,
        "overlap": args.overlap,
        "queue": args.queue,
        "priority": args.priority,
        "note": args.note,
    }
    return given if args.catch_up is None else given | {"catch_up_us": args.catch_up}


def _json_list(text: str) -> list[Any]:
    value = _json(text)
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON list, like '[1, \"two\"]'")
    return value


def _json_object(text: str) -> dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object, like '{{\"size\": 3}}'")
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
