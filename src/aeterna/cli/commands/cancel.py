"""``aeterna cancel`` and ``aeterna workflow cancel``."""

from __future__ import annotations

import argparse
from pathlib import Path

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.ordering import order
from aeterna.cli.runs import FINAL, find_run
from aeterna.cli.server_choice import chosen_server
from aeterna.cli.store_choice import require_store
from aeterna.durable.operations.owner import ask_owner
from aeterna.durable.stores.sqlite.glance import Glance
from aeterna.durable.stores.sqlite.run_lines import RunLine
from aeterna.kernel.errors import InvalidStateError

DESCRIPTION = """\
Ask a run to cancel. Its workflow sees asyncio.CancelledError where it waits, its `finally` blocks run, and it ends
CANCELLED. While the program runs it is told at once; otherwise the request is recorded and takes effect when the
program runs again. A run that has not begun is cancelled at once.

A run that is stuck, because the code at hand does not fit its history, ends without clean-up: at once where the
program runs, otherwise when it starts next and its code still does not fit.
"""

EPILOG = """\
examples:
  aeterna cancel order-1
  aeterna cancel order-1 --reason "the customer called"
"""

_TOLD = "the program that executes it was told"
_TOLD_SERVER = "asked run {id!r} to cancel; the worker that executes it was told"
_MESSAGES = {
    "told": f"asked run {{id!r}} to cancel; {_TOLD}",
    "asked before": "run {id!r} had been asked to cancel before",
    "recorded": "recorded that run {id!r} is to be cancelled; it takes effect when its program runs again",
    "ended": "ended run {id!r}, which was stuck: nothing of it could clean up",
    "cancelled": "cancelled run {id!r}, which had not begun",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="ID", help="the run's id")
    parser.add_argument("--reason", default="", help="why; recorded in the run's history")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Cancel one run."""
    server = chosen_server(args)
    if server is not None:
        return order(args, server, "cancel", {"reason": args.reason}, _TOLD_SERVER)
    path = require_store(args.store)
    with Glance(path) as glance:
        line = find_run(glance, args.id, args.app)
    if line.state in FINAL:
        raise InvalidStateError(f"run {line.id!r} is {line.state} already and cannot be cancelled")
    done = _cancel(path, line, args.reason)
    if args.json:
        output.print_json({"id": line.id, "done": done})
    else:
        print(_MESSAGES[done].format(id=line.id))
    return OK


def _cancel(path: Path, line: RunLine, reason: str) -> str:
    answer = ask_owner(path, {"op": "cancel", "id": line.id, "reason": reason})
    if answer is not None:
        if line.detail == "stuck" and _has_ended(path, line):
            return "ended"
        return "told" if answer["requested"] else "asked before"
    # Nobody has the store open, so this process may write to it. Imported here, because it takes a while.
    import asyncio

    from aeterna.durable.core.states import State
    from aeterna.durable.operations.cancel import cancel_directly
    from aeterna.durable.stores.sqlite import SqliteStore
    from aeterna.kernel.clock import SystemClock

    store = SqliteStore(path, line.namespace)
    match asyncio.run(cancel_directly(store, line.id, reason, SystemClock())):
        case None:
            return "asked before"
        case State.CANCELLED:
            return "cancelled"
        case _:
            return "recorded"


def _has_ended(path: Path, line: RunLine) -> bool:
    with Glance(path) as glance:
        return all(found.state in FINAL for found in glance.runs_of_id(line.id, line.namespace))
