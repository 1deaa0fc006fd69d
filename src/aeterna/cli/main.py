"""The entry point of the commands ``aeterna`` and ``aether``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from aeterna.cli import exit_codes, help_text, registry
from aeterna.cli.complaints import CommandLineError, complain
from aeterna.kernel.errors import AeternaError

_HELP = frozenset({"-h", "--help"})


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line (default: the process's own) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _main(arguments)
        sys.stdout.flush()
    except AeternaError as error:
        return complain(error, as_json="--json" in arguments, with_traceback="--debug" in arguments)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it closes its output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.PIPE_CLOSED
    return code


def _main(arguments: list[str]) -> int:
    if arguments[:1] == [registry.COMPLETE.name]:
        # Its arguments are an unfinished command line, not to be understood here.
        return _carry_out([], registry.COMPLETE, ["--", *arguments[1:]])
    path: list[str] = []
    flags: set[str] = set()
    for number, word in enumerate(arguments):
        if word.startswith("-"):
            flags.add(word)
            continue
        command = registry.find([*path, word])
        if command is None:
            raise _unknown(path, word)
        path.append(word)
        if not command.commands:
            before = [flag for flag in flags if flag in _HELP]
            return _carry_out(path, command, [*before, *arguments[number + 1 :]])
    if not path and "--version" in flags:
        return _carry_out(["version"], registry.VERSION, [])
    unknown = flags - _HELP - {"--debug"}
    if unknown:
        raise _unknown(path, min(unknown))
    print(help_text.group_help(path), end="")
    return exit_codes.OK


def _carry_out(path: list[str], command: registry.Command, rest: list[str]) -> int:
    from aeterna.cli.parser import parser_of

    try:
        args = parser_of(path, command).parse(rest)
    except SystemExit as end:
        # argparse has printed the help.
        return end.code if isinstance(end.code, int) else exit_codes.OK
    return command.load().run(args)


def _unknown(path: list[str], wrong: str) -> CommandLineError:
    from aeterna.cli.suggestions import did_you_mean

    known = [command.name for command in registry.commands_below(path)]
    place = " ".join([help_text.program_name(), *path])
    kind = "option" if wrong.startswith("-") else "command"
    hint = did_you_mean(wrong, known) if kind == "command" else ""
    help_ = f"commands: {', '.join(known)}\nmore: {place} --help"
    return CommandLineError(f"no {kind} {wrong!r}{hint}", help_, place)
