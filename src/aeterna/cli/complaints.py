"""How a command says that it could not do what was asked."""

from __future__ import annotations

import sys

from aeterna.cli import exit_codes
from aeterna.kernel.errors import AeternaError, UsageError


class CommandLineError(UsageError):
    """The command line cannot be understood. ``hint``: what would be right; ``place``: the command that says so."""

    def __init__(self, message: str, hint: str, place: str = "aeterna") -> None:
        super().__init__(message)
        self.hint = hint
        self.place = place


def complain(error: AeternaError, *, as_json: bool, with_traceback: bool) -> int:
    """Tell people about ``error``, and programs too if they asked for JSON; returns the exit code."""
    sys.stdout.flush()
    if with_traceback:
        _print_traceback(error)
    if isinstance(error, CommandLineError):
        print(f"{error.place}: {error}\n{error.hint}", file=sys.stderr)
    else:
        print("\n".join([f"aeterna: {error}", *getattr(error, "__notes__", ())]), file=sys.stderr)
    if as_json:
        print_error(_documented(type(error)), str(error))
    return exit_codes.code_of(error)


def print_error(kind: str, message: str, **more: str) -> None:
    """The JSON document of a command that failed."""
    from aeterna.cli.output import print_json

    print_json({**more, "error": {"type": kind, "message": message}})


def _documented(kind: type[AeternaError]) -> str:
    """The name of the error in the reference: those of the command line itself are cases of one there."""
    return next(base.__name__ for base in kind.__mro__ if base.__module__ == AeternaError.__module__)


def _print_traceback(error: AeternaError) -> None:
    import traceback

    trace = error.__traceback__
    # What leads to the command is the same for all of them and says nothing.
    while trace is not None and trace.tb_next is not None and _is_way_in(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace, file=sys.stderr)


def _is_way_in(file_name: str) -> bool:
    return file_name.endswith(("/aeterna/cli/main.py", "/aeterna/cli/parser.py", "/asyncio/runners.py"))
