"""``aeterna workflow status`` and ``aeterna status``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.quick_msgspec import load_msgspec_quickly
from aeterna.cli.quoting import quoted
from aeterna.cli.runs import FINAL, STUCK_HINT, as_record, find_run, line_of, note_text, span_us, wake_of
from aeterna.cli.server_choice import chosen_server
from aeterna.durable.stores.sqlite.run_lines import RunLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.sqlite.glance import Glance

DESCRIPTION = """\
Show what a run is doing, and its result or error once it has ended; while the program runs, and while it does not.
"""

EPILOG = """\
examples:
  aeterna status order-1
  aeterna status order-1 --json

states: PENDING (waits for its turn), RUNNING, COMPLETED, FAILED, CANCELLED. The detail says more:
sleeping, retrying, waiting_child, cancelling; stuck means that the code at hand cannot go on with it (see the note).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="ID", help="the run's id")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print one run."""
    server = chosen_server(args)
    if server is not None:
        with server.connect() as client:
            found = client.get(f"/api/workflows/{quoted(args.id)}")
        line = line_of(found.pop("run"))
        outcome = found if line.state == "CANCELLED" else {"result": found["result"], "error": found["error"]}
    else:
        line, outcome = _look(args)
    now = output.now_us()
    if args.json:
        output.print_json({**as_record(line, now), **outcome})
    else:
        print(output.fields(_pairs(line, outcome, now)))
    return OK


def _look(args: argparse.Namespace) -> tuple[RunLine, dict[str, Any]]:
    """The run in a store, which a command about a server need not load."""
    from aeterna.cli.store_choice import require_store
    from aeterna.durable.stores.sqlite.glance import Glance

    with Glance(require_store(args.store)) as glance:
        line = find_run(glance, args.id, args.app)
        return line, _outcome(glance, line)


def _outcome(glance: Glance, line: RunLine) -> dict[str, Any]:
    """What the run's last event says, once it has ended."""
    if line.state not in FINAL:
        return {"result": None, "error": None}
    load_msgspec_quickly()
    from aeterna.durable.operations.event_records import as_outcome

    return as_outcome(glance.history(line, line.length - 1)[-1])


def _pairs(line: RunLine, outcome: dict[str, Any], now: int) -> list[tuple[str, str]]:
    state = line.state + (f" ({line.detail})" if line.detail else "")
    wakes_us = wake_of(line)
    ends = "took" if line.finished_us is not None else "for"
    pairs = [
        ("run", line.id),
        ("workflow", f"{line.workflow} (version {line.version}, app {line.namespace})"),
        ("state", state),
        ("note", note_text(line)),
        ("what to do", STUCK_HINT.format(id=line.id) if line.detail == "stuck" else ""),
        ("created", output.moment(line.created_us, now)),
        ("finished", "" if line.finished_us is None else output.moment(line.finished_us, now)),
        ("wakes", "" if wakes_us is None else output.moment(wakes_us, now)),
        (ends, output.duration(span_us(line, now))),
        ("events", str(line.length)),
        ("parent", line.parent or ""),
    ]
    if line.state == "COMPLETED":
        pairs.append(("result", output.value_text(outcome["result"])))
    if outcome["error"] is not None:
        pairs.append(("error", f"{outcome['error']['type']}: {outcome['error']['message']}"))
    if outcome.get("reason"):
        pairs.append(("reason", outcome["reason"]))
    return pairs
