"""``aeterna run``."""

from __future__ import annotations

import argparse
import asyncio
import shlex
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from aeterna.cli import output
from aeterna.cli.arguments import encode_arguments, named_argument, same_arguments
from aeterna.cli.complaints import print_error
from aeterna.cli.exit_codes import FAILED, INTERRUPTED, OK
from aeterna.cli.help_text import program_name
from aeterna.cli.interruption import end_at_once_next_time, plain_steps_in_flight, what_still_runs
from aeterna.cli.loading import load_workflow
from aeterna.cli.options import add_json_option
from aeterna.cli.standard_output import close_to_step_threads, prints_aside
from aeterna.cli.store_choice import url_of
from aeterna.cli.stuck import told_once
from aeterna.durable.core.events import Payload, RunCreated
from aeterna.durable.core.fold import Run
from aeterna.durable.core.states import State
from aeterna.durable.engine.durability import Level
from aeterna.durable.engine.engine import Engine
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.event_records import error_record, value_of
from aeterna.durable.sdk.workflow import Workflow

DESCRIPTION = """\
Run a workflow and print its result as JSON. Unfinished runs of an earlier process go on meanwhile. If it is killed or
stopped, the same command with the same --id goes on where it was.
"""

EPILOG = """\
MODULE is importable from the current directory, or a path: app:fulfil, shop.orders:fulfil, shop/orders.py:fulfil.

An ARG is JSON where it parses as JSON, else text: 3, true, '{"a": 1}', A-1, '"3"' (text).

The app's own store, .aeterna/NAME.db unless it names another, is relative to the current directory: the same command in
another directory starts another run.

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
    parser.add_argument("args", nargs="*", metavar="ARG", help="its arguments, if it takes any")
    parser.add_argument(
        "--kwarg", action="append", default=[], type=named_argument, metavar="NAME=VALUE", help="an argument by name"
    )
    parser.add_argument("--id", help="the run's id; the same id is the same run (default: a new one)")
    parser.add_argument(
        "--store", metavar="URL|PATH", help="another store than the app's: a file, sqlite:///PATH or memory:"
    )
    parser.add_argument("--persistence", choices=[level.value for level in Level], help="another one than the app's")
    add_json_option(parser)


@dataclass(slots=True)
class _Progress:
    """How far it got, for the case that Ctrl-C ends it. ``level`` is None until the run is recorded; ``steps`` are the
    plain ones in flight."""

    run_id: str = ""
    level: Level | None = None
    steps: list[str] = field(default_factory=list)


def run(args: argparse.Namespace) -> int:
    """Run the workflow to its end."""
    progress = _Progress()
    try:
        with prints_aside() if args.json else nullcontext():
            ended = _execute(args, progress)
    except KeyboardInterrupt:
        return _tell_interrupt(args, progress)
    code = _print_end(progress.run_id, ended, as_json=args.json)
    if args.json:
        close_to_step_threads()
    return code


def _execute(args: argparse.Namespace, progress: _Progress) -> Run:
    workflow = load_workflow(args.workflow)
    if args.store is not None or args.persistence is not None:
        url = None if args.store is None else url_of(args.store)
        workflow.app.configure(store=url, persistence=args.persistence)
    arguments = encode_arguments(workflow, args.args, args.kwarg)
    progress.run_id = args.id or workflow.app.new_run_id()
    with told_once(progress.run_id):
        return asyncio.run(_run(workflow, arguments, progress))


async def _run(workflow: Workflow[..., Any], arguments: Payload, progress: _Progress) -> Run:
    async with workflow.app as app:
        engine = await app.engine()
        is_new = await engine.start_run(workflow.definition, arguments, progress.run_id)
        progress.level = engine.durability.level
        try:
            if not is_new:
                await _tell_of_earlier(engine, workflow, arguments, progress.run_id)
            return await await_result(await app.world(), progress.run_id)
        except asyncio.CancelledError:
            progress.steps = plain_steps_in_flight(engine)
            end_at_once_next_time()
            raise


async def _tell_of_earlier(engine: Engine, workflow: Workflow[..., Any], arguments: Payload, run_id: str) -> None:
    row = await engine.store.get_run(run_id)
    if row is not None and row.state.is_final:
        output.note(f"run {run_id!r} exists already and has ended: this is its outcome")
    else:
        output.note(f"run {run_id!r} exists already and goes on")
    created = (await engine.store.history(run_id))[0]
    if isinstance(created, RunCreated) and not same_arguments(workflow, created.arguments, arguments):
        output.note("the arguments given now differ from those it was started with, which count")


def _print_end(run_id: str, ended: Run, *, as_json: bool) -> int:
    result = None if ended.result is None else value_of(ended.result)
    error = None if ended.error is None else error_record(ended.error)
    if as_json:
        output.print_json(_record(run_id, ended, result, error))
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


def _record(run_id: str, ended: Run, result: Any, error: dict[str, str] | None) -> dict[str, Any]:
    return {
        "id": run_id,
        "workflow": ended.workflow,
        "state": ended.state,
        "result": result,
        "error": error,
        "duration_ms": (ended.last_us - ended.created_us) / 1_000,
        "events": ended.length,
    }


def _tell_interrupt(args: argparse.Namespace, progress: _Progress) -> int:
    text = _after_interrupt(args, progress)
    output.note(text)
    still = what_still_runs(progress.steps)
    if still:
        output.note(still)
    if args.json:
        print_error("KeyboardInterrupt", text, id=progress.run_id)
        close_to_step_threads()
    return INTERRUPTED


def _after_interrupt(args: argparse.Namespace, progress: _Progress) -> str:
    run_id = progress.run_id
    if progress.level is None:
        return "stopped before the run was recorded"
    if progress.level is Level.MEMORY:
        return f"stopped; run {run_id!r} is gone, because it was kept in memory only"
    command = [*program_name().split(), "run", args.workflow, *args.args, "--id", run_id]
    for name, value in args.kwarg:
        command += ["--kwarg", f"{name}={value}"]
    for option in ("store", "persistence"):
        if getattr(args, option) is not None:
            command += [f"--{option}", getattr(args, option)]
    return f"stopped; nothing recorded is lost. Run {run_id!r} goes on with:\n  {shlex.join(command)}"
