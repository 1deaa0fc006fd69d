"""The help of the program and of its groups, without argparse: loading that takes longer than printing this."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from aeterna.cli import registry

_DESCRIPTION = """\
Aeterna keeps jobs alive: workflows are plain Python functions whose steps are recorded as they happen. Kill the
process at any moment, start it again, and they go on where they were. And it keeps services alive: it starts them,
starts them again when they die, and replaces their code without refusing a connection.
"""

_WIDTH, _WIDTH_MIN, _WIDTH_MAX = 100, 42, 120

_START = """\
start here:
  aeterna demo                          see it work: a job is killed twice and finishes
  aeterna init orders && cd orders      make a project
  aeterna run app:fulfil A-1 2          run its workflow
  aeterna workflow list                 see what ran
  aeterna start -d && aeterna status    start the services of ./aeterna.yaml and look at them
  aeterna reload                        replace their code without a gap
  aeterna help COMMAND                  more about one command; `aeterna help exit-codes` about those
"""


def program_name() -> str:
    """``aeterna``, or ``aether`` or ``python -m aeterna`` if it was called so."""
    directory, _, name = (sys.argv[0] if sys.argv else "").rpartition(os.sep)
    if name == "__main__.py" and directory.endswith(f"{os.sep}aeterna"):
        return "python -m aeterna"
    return name if name in {"aeterna", "aether"} else "aeterna"


def width() -> int:
    """How wide a text may be: $COLUMNS, else the terminal, within what reads well."""
    given = os.environ.get("COLUMNS", "")
    try:
        columns = int(given) if given.isdigit() else os.get_terminal_size().columns
    except OSError:
        columns = _WIDTH
    return max(min(columns, _WIDTH_MAX) - 2, _WIDTH_MIN)


def wrapped(text: str, columns: int) -> str:
    """The paragraphs of prose filled anew to that width; those with indented lines (examples) as they are."""
    # Not needed by a command that only does its work.
    import textwrap

    blocks = text.rstrip("\n").split("\n\n")
    return "\n\n".join(
        block if "\n " in f"\n{block}" else textwrap.fill(" ".join(block.split()), columns, break_on_hyphens=False)
        for block in blocks
    )


def group_help(path: Sequence[str]) -> str:
    """The help of a group of commands; of the program for an empty path."""
    group = " ".join([program_name(), *path])
    commands = registry.commands_below(path)
    column = max(len(command.name) for command in commands)
    listed = "\n".join(f"  {command.name:<{column}}  {command.summary}" for command in commands)
    if path:
        return f"usage: {group} COMMAND ...\n\ncommands:\n{listed}\n\nmore: {group} COMMAND --help\n"
    options = "options:\n  --version  print the version\n  --debug    show the traceback of an error\n"
    about = wrapped(_DESCRIPTION, width())
    return f"usage: {group} COMMAND ...\n\n{about}\n\ncommands:\n{listed}\n\n{options}\n{_START}"
