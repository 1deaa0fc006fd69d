"""The parser of one command. Only the command that was asked for is loaded, and argparse only if there is one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from aeterna.cli.complaints import CommandLineError
from aeterna.cli.help_text import program_name, width, wrapped
from aeterna.cli.registry import Command

_HELP_COLUMN_MAX = 28
_NO_OPTION = "\0"
"""Stands before a word that follows ``--``; no word of a command line can have it."""


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
        """Raise what is wrong and where the help is."""
        raise CommandLineError(message, f"{self.format_usage().rstrip()}\nmore: {self.prog} --help")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The arguments, understood; options may stand between positional ones. Raises `CommandLineError`."""
        words = list(arguments)
        if "--" in words:
            # What follows is no option, whatever it looks like. argparse loses count of it between options.
            start = words.index("--")
            words[start:] = [f"{_NO_OPTION}{word}" for word in words[start + 1 :]]
        return self.parse_intermixed_args(words)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        return super()._get_value(action, arg_string.removeprefix(_NO_OPTION))


def parser_of(path: Sequence[str], command: Command) -> Parser:
    """The parser of a command, whose module it loads."""
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    parser = Parser(" ".join([program_name(), *path]), summary)
    command.load().add_arguments(parser)
    # What a command's module sets would otherwise lose the line breaks of its examples.
    parser.formatter_class = _formatter
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


class _Formatter(argparse.HelpFormatter):
    """Fills prose to the width there is, and leaves examples alone."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return wrapped(text, width)


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Given a width, argparse does not import shutil to find one, which takes 3 of 50 milliseconds.
    return _Formatter(prog, max_help_position=_HELP_COLUMN_MAX, width=width())
