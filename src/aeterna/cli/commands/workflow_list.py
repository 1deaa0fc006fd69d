"""``aeterna workflow list``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_app_option, add_json_option, add_run_filters, add_store_option, whole_number
from aeterna.cli.output import cut_middle
from aeterna.cli.runs import as_record, line_of, span_us
from aeterna.cli.server_choice import ServerChoice, chosen_server
from aeterna.cli.store_choice import require_store
from aeterna.durable.stores.sqlite.glance import Glance
from aeterna.durable.stores.sqlite.run_lines import LineQuery, RunLine

EPILOG = """\
examples:
  aeterna workflow list
  aeterna workflow list --type fulfil --state FAILED
  aeterna workflow list --state PENDING --state RUNNING --json
  aeterna workflow list --limit 20 --before 1234     the next page; its number ends the page before
"""

_PAGE_MAX = 1_000
_HEADS = ("ID", "WORKFLOW", "STATE", "DETAIL", "CREATED", "DURATION", "EVENTS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.epilog = EPILOG
    add_run_filters(parser)
    parser.add_argument("--limit", type=_limit, default=100, metavar="N", help="at most N runs (default: %(default)s)")
    parser.add_argument("--before", type=whole_number, metavar="CURSOR", help="go on where an earlier page ended")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the runs."""
    query = LineQuery(args.app, args.type, tuple(args.state or ()), args.limit, args.before)
    server = chosen_server(args)
    if server is not None:
        lines, following = _ask(server, query)
    else:
        with Glance(require_store(args.store)) as glance:
            lines, following = glance.runs(query)
    now = output.now_us()
    if args.json:
        output.print_json({"runs": [as_record(line, now) for line in lines], "next": following})
        return OK
    if lines:
        print(output.table(_HEADS, [_row(line, now) for line in lines], {"ID": cut_middle, "WORKFLOW": cut_middle}))
    else:
        output.note("no runs match" if any(query._replace(limit=0)) else "no runs yet")
    if following is not None:
        output.note(f"there are more: add --before {following}")
    return OK


def _ask(server: ServerChoice, query: LineQuery) -> tuple[list[RunLine], int | None]:
    lines: list[RunLine] = []
    before = query.before
    with server.connect() as client:
        while True:
            limit = min(query.limit - len(lines), _PAGE_MAX)
            wanted = {"type": query.workflow, "state": query.states, "limit": limit, "before": before}
            page = client.get("/api/workflows", wanted)
            lines += map(line_of, page["runs"])
            before = page["next"]
            if before is None or len(lines) >= query.limit:
                return lines, before


def _row(line: RunLine, now: int) -> tuple[str, ...]:
    created = output.moment(line.created_us, now)
    span = output.duration(span_us(line, now))
    return line.id, line.workflow, line.state, line.detail, created, span, str(line.length)


def _limit(text: str) -> int:
    limit = whole_number(text)
    if limit < 1:
        raise argparse.ArgumentTypeError(f"{limit}: give 1 or more")
    return limit
