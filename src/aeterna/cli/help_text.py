"""The help of the program and of its groups, without argparse: loading that takes longer than printing this."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from aeterna.cli import registry

_DESCRIPTION = """\
Aeterna keeps jobs alive: workflows are plain Python functions whose steps are recorded as they happen. Kill the
process at any moment, start it again, and they go on where they were.
"""

_START = """\
start here:
  aeterna demo                          see it work: a job is killed twice and finishes
  aeterna init orders && cd orders      make a project
  aeterna run app:fulfil A-1 2          run its workflow
  aeterna workflow list                 see what ran
  aeterna help COMMAND                  more about one command; `aeterna help exit-codes` about those
"""


def program_name() -> str:
    """``aeterna``, or ``aether`` if it was called by that name."""
    name = sys.argv[0].rpartition(os.sep)[2] if sys.argv else ""
    return name if name in {"aeterna", "aether"} else "aeterna"


def group_help(path: Sequence[str]) -> str:
    """The help of a group of commands; of the program for an empty path."""
    group = " ".join([program_name(), *path])
    commands = registry.commands_below(path)
    width = max(len(command.name) for command in commands)
    listed = "\n".join(f"  {command.name:<{width}}  {command.summary}" for command in commands)
    if path:
        return f"usage: {group} COMMAND ...\n\ncommands:\n{listed}\n\nmore: {group} COMMAND --help\n"
    options = "options:\n  --version  print the version\n  --debug    show the traceback of an error\n"
    return f"usage: {group} COMMAND ...\n\n{_DESCRIPTION}\ncommands:\n{listed}\n\n{options}\n{_START}"
