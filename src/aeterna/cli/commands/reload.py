"""``aeterna reload``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.awaiting import finish_reload
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_config_option, add_json_option
from aeterna.cli.quoting import quoted
from aeterna.cli.supervisor_client import connect

DESCRIPTION = """\
Replace a service's code with what the configuration says now, without refusing a connection. Waits for the verdict: the
new version is checked, started beside the old one, given its memory and a share of the traffic, and watched; if it is
bad, the old one goes on.
"""

EPILOG = """\
examples:
  aeterna reload
  aeterna reload web --report
  aeterna reload --strategy immediate --force
  aeterna reload --no-wait          `aeterna status` shows how it goes

exit codes: 0 succeeded, 10 pre-flight failed, 11 start failed, 12 hand-off failed, 13 rolled back, 14 another reload is
under way, 15 went back to a process started anew, 2 the configuration cannot be used
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="which one (needed where there are several)")
    parser.add_argument("--force", action="store_true", help="although nothing changed, and past blocking checks")
    parser.add_argument("--strategy", choices=["immediate", "canary"], help="for this one reload")
    parser.add_argument("--reason", default="", help="why; kept in the report")
    parser.add_argument("--no-wait", action="store_true", help="return as soon as the reload has begun")
    parser.add_argument("--wait", dest="no_wait", action="store_false", help="wait for the verdict, which is usual")
    parser.add_argument("--report", action="store_true", help="print the phases, their times, and the last lines")
    add_config_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Reload one service."""
    fields = {"force": args.force, "reason": args.reason, **({"strategy": args.strategy} if args.strategy else {})}
    with connect(args.config) as client:
        name = client.one_service(args.service)
        answer = client.post(f"/v1/services/{quoted(name)}/reload", fields)
        if not args.no_wait and answer.get("id"):
            return finish_reload(client, answer["id"], as_json=args.json, with_report=args.report)
    if args.json:
        output.print_json(answer)
    elif answer.get("id"):
        print(f"{name}: reload {answer['id']} has begun")
    else:
        print(f"{name}: {answer['detail'] or 'the reload was taken'}")
    return OK
