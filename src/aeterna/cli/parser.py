"""The parser of one command. Only the command that was asked for is loaded, and argparse only if there is one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from aeterna.cli.exit_codes import USAGE
from aeterna.cli.help_text import program_name
from aeterna.cli.registry import Command

_HELP_COLUMN_MAX = 28
_WIDTH = 100
_WIDTH_MAX = 120


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and a hint."""

    def __init__(self, prog: str, description: str = "") -> None:
        self.option_names: list[str] = []
        super().__init__(prog=prog, description=description, formatter_class=_formatter, allow_abbrev=False)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """As the original; remembers the options for the completion scripts."""
        action = super().add_argument(*names, **options)
        self.option_names += [name for name in action.option_strings if name.startswith("--")]
        return action

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the help is; exit code 2."""
        self.exit(USAGE, f"aeterna: {message}\n{self.format_usage().rstrip()}\nmore: {self.prog} --help\n")


def parser_of(path: Sequence[str], command: Command) -> Parser:
    """The parser of a command, whose module it loads."""
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    parser = Parser(" ".join([program_name(), *path]), summary)
    command.load().add_arguments(parser)
    # What a command's module sets would otherwise lose the line breaks of its examples.
    parser.formatter_class = _formatter
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Given a width, argparse does not import shutil to find one, which takes 3 of 50 milliseconds.
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=_HELP_COLUMN_MAX, width=_width())


def _width() -> int:
    given = os.environ.get("COLUMNS", "")
    try:
        columns = int(given) if given.isdigit() else os.get_terminal_size().columns
    except OSError:
        columns = _WIDTH
    return max(min(columns, _WIDTH_MAX) - 2, 40)
