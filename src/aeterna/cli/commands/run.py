"""``aeterna run``."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from aeterna.cli import output
from aeterna.cli.event_records import error_record, value_of
from aeterna.cli.exit_codes import FAILED, INTERRUPTED, OK
from aeterna.cli.help_text import program_name
from aeterna.cli.loading import load_workflow
from aeterna.cli.options import add_json_option
from aeterna.cli.store_choice import url_of
from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import Run
from aeterna.durable.core.states import State
from aeterna.durable.engine.durability import Level
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.sdk.step import annotations_of
from aeterna.durable.sdk.workflow import Workflow
from aeterna.kernel.errors import UsageError

DESCRIPTION = """\
Run a workflow and print its result as JSON. Unfinished runs of an earlier process go on meanwhile. If it is killed or
stopped, the same command with the same --id goes on where it was.
"""

EPILOG = """\
MODULE is importable from the current directory, or a path: app:fulfil, shop.orders:fulfil, shop/orders.py:fulfil.
An ARG is JSON where it parses as JSON, else text: 3, true, '{"a": 1}', A-1, '"3"' (text).

examples:
  aeterna run app:fulfil A-1 2
  aeterna run app:fulfil A-1 --kwarg count=2 --id order-1
  aeterna run app.py:fulfil A-1 --store sqlite:////var/lib/orders.db --json
  aeterna run app:fulfil A-1 --persistence memory       keeps nothing
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("workflow", metavar="MODULE:WORKFLOW", help="where the workflow is")
    parser.add_argument("args", nargs="*", metavar="ARG", help="its arguments")
    parser.add_argument(
        "--kwarg", action="append", default=[], type=_named, metavar="NAME=VALUE", help="an argument by name"
    )
    parser.add_argument("--id", help="the run's id; the same id is the same run (default: a new one)")
    parser.add_argument(
        "--store", metavar="URL|PATH", help="another store than the app's: a file, sqlite:///PATH or memory:"
    )
    parser.add_argument("--persistence", choices=[level.value for level in Level], help="another one than the app's")
    add_json_option(parser)


@dataclass(slots=True)
class _Progress:
    """How far it got, for the case that Ctrl-C ends it. ``level`` is None until the run is recorded."""

    level: Level | None = None


def run(args: argparse.Namespace) -> int:
    """Run the workflow to its end."""
    workflow = load_workflow(args.workflow)
    if args.store is not None or args.persistence is not None:
        url = None if args.store is None else url_of(args.store)
        workflow.app.configure(store=url, persistence=args.persistence)
    run_id = args.id or workflow.app.new_run_id()
    arguments = _encode(workflow, args.args, args.kwarg)
    progress = _Progress()
    try:
        ended = asyncio.run(_run(workflow, run_id, arguments, progress))
    except KeyboardInterrupt:
        output.note(_after_interrupt(args, run_id, progress))
        return INTERRUPTED
    return _print_end(run_id, ended, as_json=args.json)


async def _run(workflow: Workflow[..., Any], run_id: str, arguments: Payload, progress: _Progress) -> Run:
    async with workflow.app as app:
        engine = await app.engine()
        is_new = await engine.start_run(workflow.definition, arguments, run_id)
        progress.level = engine.durability.level
        if not is_new:
            output.note(f"run {run_id!r} exists already: this is its outcome, with the arguments it was started with")
        return await await_result(engine, run_id)


def _encode(workflow: Workflow[..., Any], texts: Sequence[str], named: Sequence[tuple[str, str]]) -> Payload:
    parameters = list(inspect.signature(workflow.fn).parameters)[1:]
    kinds = annotations_of(workflow.fn)
    args = [_value(text, kinds.get(name)) for text, name in zip_longest(texts, parameters[: len(texts)])]
    kwargs = {name: _value(text, kinds.get(name)) for name, text in named}
    if len(kwargs) != len(named):
        raise UsageError("an argument is given twice with --kwarg")
    try:
        return workflow.encode_arguments(args, kwargs)
    except TypeError as error:
        signature = f"{workflow.name}({', '.join(parameters)})"
        raise UsageError(f"{error}; it is {signature}") from error


def _value(text: str, kind: object) -> Any:
    """JSON where it parses as JSON, else the text; also where a text is wanted and the JSON is none: an id of 42."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if kind is str and not isinstance(value, str) else value


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE")
    return name, value


def _print_end(run_id: str, ended: Run, *, as_json: bool) -> int:
    result = None if ended.result is None else value_of(ended.result)
    error = None if ended.error is None else error_record(ended.error)
    if as_json:
        output.print_json(
            {
                "id": run_id,
                "workflow": ended.workflow,
                "state": ended.state,
                "result": result,
                "error": error,
                "duration_ms": (ended.last_us - ended.created_us) / 1_000,
                "events": ended.length,
            }
        )
    match ended.state:
        case State.COMPLETED:
            if not as_json:
                output.print_json(result)
            return OK
        case State.CANCELLED:
            output.note(
                f"aeterna: run {run_id!r} was cancelled" + (f": {ended.cancel_reason}" * bool(ended.cancel_reason))
            )
        case _:
            assert error is not None
            head = f"aeterna: run {run_id!r} failed: {error['type']}: {error['message']}"
            output.note(f"{head}\n\nrecorded traceback:\n{error['traceback'].rstrip()}")
    return FAILED


def _after_interrupt(args: argparse.Namespace, run_id: str, progress: _Progress) -> str:
    if progress.level is None:
        return "stopped before the run was recorded"
    if progress.level is Level.MEMORY:
        return f"stopped; run {run_id!r} is gone, because it was kept in memory only"
    command = [program_name(), "run", args.workflow, *args.args, "--id", run_id]
    for name, value in args.kwarg:
        command += ["--kwarg", f"{name}={value}"]
    for option in ("store", "persistence"):
        if getattr(args, option) is not None:
            command += [f"--{option}", getattr(args, option)]
    return f"stopped; nothing recorded is lost. Run {run_id!r} goes on with:\n  {shlex.join(command)}"
