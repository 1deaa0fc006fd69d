"""``aeterna restart``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.awaiting import Service, finish_reload, tell_started, wait_for
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_config_option, add_json_option
from aeterna.cli.quoting import quoted
from aeterna.cli.supervisor_client import connect

DESCRIPTION = """\
Stop a service's process and start it again with the same code. This leaves a gap and loses its memory: `aeterna reload`
does neither. A service that is stopped or has failed is started.
"""

EPILOG = """\
examples:
  aeterna restart
  aeterna restart web --no-wait
"""

_SETTLED = frozenset({"RUNNING", "FAILED", "BACKOFF", "STOPPED"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="which one (needed where there are several)")
    parser.add_argument("--reason", default="", help="why; kept in the audit log")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it runs again")
    add_config_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Restart one service."""
    with connect(args.config) as client:
        name = client.one_service(args.service)
        before = client.get(f"/v1/services/{quoted(name)}")
        answer = client.post(f"/v1/services/{quoted(name)}/restart", {"reason": args.reason})
        if args.no_wait:
            output.print_json(answer) if args.json else print(f"{name}: restarting")
            return OK
        if answer.get("id"):
            return finish_reload(client, answer["id"], as_json=args.json)

        def is_settled(service: Service) -> bool:
            return service["state"] in _SETTLED and (service["pid"], service["generation"]) != (
                before["pid"],
                before["generation"],
            )

        return tell_started(wait_for(client, name, is_settled), as_json=args.json)
