"""``aeterna help``."""

from __future__ import annotations

import argparse

from aeterna.cli import exit_codes
from aeterna.cli.main import main

EXIT_CODES = "exit-codes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = f"examples:\n  aeterna help workflow list\n  aeterna help {EXIT_CODES}\n"
    parser.add_argument("topic", nargs="*", metavar="COMMAND", help=f"a command, or {EXIT_CODES}")


def run(args: argparse.Namespace) -> int:
    """Print the help of a command, or the meaning of the exit codes."""
    if args.topic != [EXIT_CODES]:
        return main([*args.topic, "--help"])
    print("exit codes of every command:")
    for code, meaning in exit_codes.MEANINGS.items():
        print(f"  {code:>3}  {meaning}")
    return exit_codes.OK
