"""The command ``aeterna demo``: its options, and the order of what it does."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from rich.console import Console

from aeterna.cli.demo.execution_log import read_executions
from aeterna.cli.demo.history_tail import HistoryTail
from aeterna.cli.demo.places import RUN_ID, Places, beside_earlier, prepared
from aeterna.cli.demo.proof import prove
from aeterna.cli.demo.report import Report, as_record, as_text, read_answer, tell_story
from aeterna.cli.demo.supervise import KILLS_MAX, Options, Supervisor
from aeterna.cli.demo.timeline import render
from aeterna.cli.demo.views import LineView, LiveView, QuietView, View
from aeterna.cli.options import whole_number
from aeterna.kernel.clock import SystemClock

QUESTION = "What does a return statement do in a finally clause?"
DIRECTORY = Path(".aeterna/demo")
PACE_MS = 200

DESCRIPTION = """\
Run a real multi-step job, kill its process with SIGKILL in the middle, start it again, and prove that no
finished step ran twice. The job reads Python's own language reference (about 80 topics), splits it into
passages, indexes them for full-text search, and answers a question with citations: some 160 recorded steps,
four at a time, and one durable sleep.

The steps' own work takes milliseconds, so each one also takes a think time, as a call to a slow model would
(--pace-ms). Nothing else is simulated: the processes, the kills, the store and the answer are real.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--question", type=_question, default=QUESTION, help="what to ask the language reference (default: %(default)s)"
    )
    parser.add_argument(
        "--kills", type=_kills, default=2, metavar="N", help=f"how many kills, 0 to {KILLS_MAX} (default: 2)"
    )
    parser.add_argument(
        "--seed", type=whole_number, help="repeat the moments of an earlier demo (default: a new one, printed)"
    )
    parser.add_argument(
        "--pace-ms",
        type=_pace,
        default=PACE_MS,
        metavar="MS",
        help="mean think time of a step (default: %(default)s; 0 for none)",
    )
    parser.add_argument("--dir", type=Path, default=DIRECTORY, help="where to keep the files (default: %(default)s)")
    parser.add_argument(
        "--keep", action="store_true", help="keep an earlier demo's files: use DIR-2, DIR-3, ... beside DIR"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables and text")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 if the proof holds, 1 if it is broken, 130 after Ctrl-C. Raises `ConfigurationError` for a
    directory that cannot be used, `WorkerFailedError` if the demo failed."""
    seed = SystemClock().now_us() % 1_000_000 if args.seed is None else args.seed
    options = Options(question=args.question, seed=seed, kills=args.kills, pace_ms=args.pace_ms)
    directory = args.dir.resolve()
    try:
        with prepared(beside_earlier(directory) if args.keep else directory) as (places, lock):
            report = asyncio.run(_demonstrate(places, options, lock, _view(as_json=args.json)))
    except KeyboardInterrupt:
        print("\ndemo stopped; the worker process has been ended", file=sys.stderr)
        return 130
    print(json.dumps(as_record(report), indent=2, ensure_ascii=False) if args.json else as_text(report))
    return 0 if report.proof.holds else 1


async def _demonstrate(places: Places, options: Options, lock: int, view: View) -> Report:
    clock = SystemClock()
    started_us = clock.monotonic_us()
    tail = HistoryTail(places.store, RUN_ID)
    supervisor = Supervisor(places, options, tail, clock, view)
    try:
        with view:
            await supervisor.run(lock)
        history = await tail.read()
    finally:
        await tail.close()
    lives, executions = read_executions(places.executions.read_text(encoding="utf-8").splitlines())
    proof = prove(history, lives, executions)
    places.timeline.write_text(render(tell_story(history, executions, supervisor.lives, proof)), encoding="utf-8")
    seconds = (clock.monotonic_us() - started_us) / 1e6
    answer = read_answer(places.answer)
    return Report(options, seconds, proof, answer, supervisor.lives, places.timeline, places.store)


def _view(*, as_json: bool) -> View:
    if as_json:
        return QuietView()
    if sys.stdout.isatty() and os.environ.get("CI", "").lower() not in {"true", "1"}:
        return LiveView(Console())
    return LineView(sys.stdout)


def _question(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: ask something, in words")
    return text


def _kills(text: str) -> int:
    kills = whole_number(text)
    if not 0 <= kills <= KILLS_MAX:
        raise argparse.ArgumentTypeError(f"{kills} kills: choose 0 to {KILLS_MAX}")
    return kills


def _pace(text: str) -> int:
    pace_ms = whole_number(text)
    if not 0 <= pace_ms <= 10_000:
        raise argparse.ArgumentTypeError(f"{pace_ms} ms: choose 0 to 10000")
    return pace_ms
