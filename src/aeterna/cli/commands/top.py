"""``aeterna top``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Event

from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.server_choice import chosen_server
from aeterna.cli.store_choice import require_store
from aeterna.cli.top.picture import picture
from aeterna.cli.top.sample import Rates, Sample, as_document, rates_between
from aeterna.cli.top.sources import Source, server_source, store_source
from aeterna.kernel.errors import StoreError, UnavailableError

DESCRIPTION = """\
Watch a server, or the store of a program: how many runs there are, how fast they start and end, what waits in which
queue and for how long, who executes, and what changed last. Ctrl-C ends it.
"""

EPILOG = """\
examples:
  aeterna top
  aeterna top --server localhost:7233 --app orders --interval 0.5
  aeterna top --once                 one picture, for a log or a mail
  aeterna top --json | jq .ended_per_s

A server that goes away is said so, and shown again when it is back.
"""

INTERVAL_S = 2.0
INTERVAL_LEAST_S = 0.1

Show = Callable[[Sample, Rates | None, str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "--interval", type=_interval, default=INTERVAL_S, metavar="S", help="seconds between samples (%(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="take one sample, print it and end")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show one sample after the other."""
    server = chosen_server(args)
    take = store_source(require_store(args.store), args.app) if server is None else server_source(server)
    # What is wrong from the beginning is an error; what goes wrong later may be over with the next sample.
    first = take()
    is_live = sys.stdout.isatty() and not args.json and not args.once
    with _live() if is_live else nullcontext(_print_json if args.json else _print_text) as show:
        show(first, None, "")
        if not args.once:
            _follow(take, first, show, args.interval)
    return OK


def _follow(take: Source, last: Sample, show: Show, interval_s: float) -> None:
    rates: Rates | None = None
    pause = Event()
    while True:
        pause.wait(interval_s)
        problem = ""
        try:
            sample = take()
        except (UnavailableError, StoreError) as error:
            problem = str(error)
        else:
            last, rates = sample, rates_between(last, sample)
        show(last, rates, problem)


def _print_text(sample: Sample, rates: Rates | None, problem: str) -> None:
    print(picture(sample, rates, None, problem), end="\n\n", flush=True)


def _print_json(sample: Sample, rates: Rates | None, problem: str) -> None:
    print(json.dumps({**as_document(sample, rates), "problem": problem or None}, ensure_ascii=False), flush=True)


def _live() -> AbstractContextManager[Show]:
    from aeterna.cli.top.screen import on_screen

    return on_screen()


def _interval(text: str) -> float:
    try:
        interval_s = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not INTERVAL_LEAST_S <= interval_s <= 3_600:
        raise argparse.ArgumentTypeError(f"{text}: give {INTERVAL_LEAST_S} to 3600 seconds")
    return interval_s
