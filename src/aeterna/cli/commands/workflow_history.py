"""``aeterna workflow history``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.quick_msgspec import load_msgspec_quickly
from aeterna.cli.quoting import quoted
from aeterna.cli.runs import as_record as run_record
from aeterna.cli.runs import find_run, line_of
from aeterna.cli.server_choice import ServerChoice, chosen_server
from aeterna.cli.store_choice import require_store
from aeterna.durable.stores.sqlite.glance import Glance
from aeterna.durable.stores.sqlite.run_lines import RunLine

Record = dict[str, Any]

DESCRIPTION = """\
Show every recorded event of a run: when it happened, how long after the start, which step, timer or child it is about,
and its value or error. A name is followed by #2 for its second occurrence, and by @0.1 if another task than the
workflow's first one asked for it.
"""

EPILOG = """\
examples:
  aeterna workflow history order-1
  aeterna workflow history order-1 --full       values and tracebacks in full
  aeterna workflow history order-1 --json
"""

_VALUE_WIDTH = 72
_HEADS = ("#", "TIME", "OFFSET", "EVENT", "KEY", "VALUE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="ID", help="the run's id")
    parser.add_argument("--full", action="store_true", help="shorten nothing, and show tracebacks")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the history."""
    server = chosen_server(args)
    line, records = _of_store(args) if server is None else _of_server(server, args.id)
    if args.json:
        shown = [{name: value for name, value in record.items() if name != "at_us"} for record in records]
        output.print_json({"run": run_record(line, output.now_us()), "events": shown})
    else:
        _print_table(records, is_full=args.full)
    return OK


def _of_store(args: argparse.Namespace) -> tuple[RunLine, list[Record]]:
    load_msgspec_quickly()
    from aeterna.durable.operations.event_records import as_record

    with Glance(require_store(args.store)) as glance:
        line = find_run(glance, args.id, args.app)
        events = glance.history(line)
    return line, [
        {**as_record(number, event, output.iso(event.at_us)), "at_us": event.at_us}
        for number, event in enumerate(events)
    ]


def _of_server(server: ServerChoice, run_id: str) -> tuple[RunLine, list[Record]]:
    records: list[Record] = []
    with server.connect() as client:
        start: int | None = 0
        while True:
            page = client.get(f"/api/workflows/{quoted(run_id)}/history", {"start": start})
            for record in page["events"]:
                number = {"number": record.pop("number"), "at": output.iso(record["at_us"])}
                records.append({**number, **record})
            start = page["next"]
            if start is None:
                return line_of(page["run"]), records


def _print_table(records: list[Record], *, is_full: bool) -> None:
    start_us = records[0]["at_us"]
    rows = []
    for record in records:
        offset = "+" + output.duration(record["at_us"] - start_us)
        text = _value(record) if is_full else output.shorten(_value(record), _VALUE_WIDTH)
        time = record["at"].removesuffix("Z")[:-3] + "Z"
        rows.append((str(record["number"]), time, offset, record["event"], _key(record), text))
    cuts = {} if is_full else {"KEY": output.cut_middle, "VALUE": output.shorten}
    lines = output.table(_HEADS, rows, cuts).splitlines()
    if not is_full:
        print("\n".join(lines))
        return
    print(lines[0])
    for text, record in zip(lines[1:], records, strict=True):
        print(text)
        trace = (record.get("error") or {}).get("traceback", "")
        if trace:
            print("\n".join(f"      {part}" for part in trace.rstrip().splitlines()))


def _key(record: Record) -> str:
    """The identity of a step, timer or child: its name, ``#2`` for a later occurrence, ``@0.1`` for another task."""
    if "occurrence" not in record:
        return ""
    occurrence = f" #{record['occurrence']}" if record["occurrence"] > 1 else ""
    task = f" @{record['path']}" if record["path"] != "0" else ""
    return f"{record['name']}{occurrence}{task}"


def _value(record: Record) -> str:
    match record["event"]:
        case "RunCreated" if isinstance(record["arguments"], str):
            return f"{record['workflow']}({record['arguments']})"
        case "RunCreated":
            args, kwargs = record["arguments"]
            given = [
                *(output.value_text(value) for value in args),
                *(f"{name}={output.value_text(value)}" for name, value in kwargs.items()),
            ]
            return f"{record['workflow']}({', '.join(given)})"
        case "RunStarted":
            return f"session {record['session']}"
        case "StepCompleted" | "ChildCompleted" | "RunCompleted":
            return output.value_text(record["result"]) + _attempt(record)
        case "StepFailed" | "ChildFailed" | "RunFailed":
            return _error(record) + _attempt(record)
        case "StepRetrying":
            wait = output.duration(max(record["next_us"] - record["at_us"], 0))
            return f"attempt {record['attempt']} failed, next in {wait}: {_error(record)}"
        case "TimerStarted":
            return f"for {output.duration(max(record['due_us'] - record['at_us'], 0))}"
        case "ChildStarted":
            return str(record["child"])
        case "CancelRequested" | "RunCancelled":
            return str(record["reason"])
        case "WaitAbandoned":
            return f"gave up the {record['kind']}"
        case _:
            return ""


def _error(record: dict[str, dict[str, str]]) -> str:
    return f"{record['error']['type']}: {' '.join(record['error']['message'].split())}"


def _attempt(record: dict[str, int]) -> str:
    return f" (attempt {record['attempt']})" if record.get("attempt", 1) > 1 else ""
