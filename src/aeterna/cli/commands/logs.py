"""``aeterna logs``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import datetime

from aeterna.cli import exit_codes
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_config_option, whole_number
from aeterna.cli.quoting import quoted
from aeterna.cli.supervisor_client import SupervisorClient, connect

DESCRIPTION = """\
Print the last lines that the services wrote, each with its time, service, generation and stream; with -f also those to
come, also across reloads and when the supervisor itself is replaced.
"""

EPILOG = """\
examples:
  aeterna logs
  aeterna logs web -f
  aeterna logs -n 1000 --json       one JSON document per line
"""

_LINES = 100
_LINES_MAX = 10_000
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029]|\x1b(?!\[[0-9;]{0,32}m)")
"""What would break a line, move the cursor or command the terminal. Tabs stay, and colours."""
_COLOURS_OFF = "\x1b[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="only this one")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines until Ctrl-C")
    parser.add_argument(
        "-n", "--lines", type=_count, default=_LINES, metavar="N", help="the last N lines (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print each line as a JSON document")
    add_config_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print lines."""
    lines = args.lines
    while True:
        with connect(args.config) as client:
            try:
                _print_all(client, args, lines)
            except ConnectionError as error:
                if not args.follow:
                    raise exit_codes.CodedError(exit_codes.FAILED, f"the supervisor broke off: {error}") from error
                # It is being replaced, and its successor serves the same socket; what was printed is not printed again.
                lines = 0
                continue
        return OK


def _print_all(client: SupervisorClient, args: argparse.Namespace, lines: int) -> None:
    place = "/v1/logs" if args.service is None else f"/v1/services/{quoted(args.service)}/logs"
    for line in client.stream(f"{place}?lines={lines}&follow={int(args.follow)}"):
        text = line.decode()
        sys.stdout.write(f"{text}\n" if args.json else _readable(text))
        if args.follow:
            sys.stdout.flush()


def _readable(document: str) -> str:
    """As the supervisor itself prints it: ``12:34:56.789 web/3 out | text``, in local time."""
    line = json.loads(document)
    clock = datetime.fromisoformat(line["at"]).astimezone().isoformat(timespec="milliseconds")[11:23]
    whose = f"{line['service']}/{line['generation']} {line['stream']}" if line["service"] else line["stream"]
    text = line["text"]
    if not text.isprintable():
        text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
        if "\x1b" in text:
            text += _COLOURS_OFF
    return f"{clock} {whose} | {text}\n"


def _count(text: str) -> int:
    count = whole_number(text)
    if not 0 <= count <= _LINES_MAX:
        raise argparse.ArgumentTypeError(f"{count}: give 0 to {_LINES_MAX}")
    return count
