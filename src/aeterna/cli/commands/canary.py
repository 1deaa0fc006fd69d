"""``aeterna canary``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_config_option, add_json_option
from aeterna.cli.quoting import quoted
from aeterna.cli.supervisor_client import connect

DESCRIPTION = """\
While a new version is being watched, set by hand how many percent of the new connections it gets. It stays so until
`aeterna promote` or `aeterna rollback`.
"""

EPILOG = """\
examples:
  aeterna canary 25
  aeterna canary 0 --service web
"""

_PERCENT_MAX = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("weight", metavar="WEIGHT", type=_percent, help="0 to 100, in percent")
    parser.add_argument("--service", metavar="NAME", help="which service (needed where there are several)")
    parser.add_argument("--reason", default="", help="why; kept in the audit log")
    add_config_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Set the weight."""
    with connect(args.config) as client:
        name = client.one_service(args.service)
        answer = client.post(f"/v1/services/{quoted(name)}/canary", {"weight": args.weight, "reason": args.reason})
    if args.json:
        output.print_json(answer)
    else:
        print(f"{name}: the new version gets {args.weight} % of the new connections")
    return OK


def _percent(text: str) -> int:
    number = text.removesuffix("%")
    if not number.isascii() or not number.isdigit() or int(number) > _PERCENT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 0 to {_PERCENT_MAX}")
    return int(number)
