"""``aeterna workflow history``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.quick_msgspec import load_msgspec_quickly
from aeterna.cli.runs import as_record as run_record
from aeterna.cli.runs import find_run
from aeterna.cli.store_choice import require_store
from aeterna.durable.stores.sqlite.glance import Glance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.core.events import AnyEvent

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
    load_msgspec_quickly()
    from aeterna.durable.operations.event_records import as_record

    with Glance(require_store(args.store)) as glance:
        line = find_run(glance, args.id, args.app)
        events = glance.history(line)
    if args.json:
        records = [as_record(number, event, output.iso(event.at_us)) for number, event in enumerate(events)]
        output.print_json({"run": run_record(line, output.now_us()), "events": records})
    else:
        _print_table(events, is_full=args.full)
    return OK


def _print_table(events: list[AnyEvent], *, is_full: bool) -> None:
    from aeterna.durable.operations.event_records import error_of, key_text

    start_us = events[0].at_us
    rows = []
    for number, event in enumerate(events):
        offset = "+" + output.duration(event.at_us - start_us)
        text = _value(event) if is_full else output.shorten(_value(event), _VALUE_WIDTH)
        time = (output.iso(event.at_us) or "").removesuffix("Z")[:-3] + "Z"
        rows.append((str(number), time, offset, type(event).__name__, key_text(event), text))
    cuts = {} if is_full else {"KEY": output.cut_middle, "VALUE": output.shorten}
    lines = output.table(_HEADS, rows, cuts).splitlines()
    if not is_full:
        print("\n".join(lines))
        return
    print(lines[0])
    for text, event in zip(lines[1:], events, strict=True):
        print(text)
        error = error_of(event)
        if error is not None and error.traceback:
            print("\n".join(f"      {part}" for part in error.traceback.rstrip().splitlines()))


def _value(event: AnyEvent) -> str:
    from aeterna.durable.operations.event_records import as_record

    record = as_record(0, event, None)
    match record["event"]:
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
            wait = output.duration(max(record["next_us"] - event.at_us, 0))
            return f"attempt {record['attempt']} failed, next in {wait}: {_error(record)}"
        case "TimerStarted":
            return f"for {output.duration(max(record['due_us'] - event.at_us, 0))}"
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
