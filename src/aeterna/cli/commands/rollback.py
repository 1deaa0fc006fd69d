"""``aeterna rollback``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.awaiting import finish_reload
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_config_option, add_json_option
from aeterna.cli.quoting import quoted
from aeterna.cli.supervisor_client import connect

DESCRIPTION = """\
Go back to the version before. While a new version is being watched, the old one takes over again at once, with its
memory. Afterwards it is a reload to the version that ran before.
"""

EPILOG = """\
examples:
  aeterna rollback
  aeterna rollback web --reason "orders fail"
"""

_WENT_BACK = frozenset({"rolled_back", "succeeded", "succeeded_cold"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="which one (needed where there are several)")
    parser.add_argument("--reason", default="", help="why; kept in the report")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until the old version serves")
    add_config_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Roll one service back."""
    with connect(args.config) as client:
        name = client.one_service(args.service)
        answer = client.post(f"/v1/services/{quoted(name)}/rollback", {"reason": args.reason})
        if not args.no_wait and answer.get("id"):
            return finish_reload(client, answer["id"], as_json=args.json, wanted=_WENT_BACK)
    output.print_json(answer) if args.json else print(f"{name}: {answer['detail'] or 'going back'}")
    return OK
