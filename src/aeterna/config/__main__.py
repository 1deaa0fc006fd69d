"""``python -m aeterna.config PATH [--override KEY=VALUE]...``: checks a configuration and prints its plan as JSON.

The daemon runs this as a child, so that no parser of the files people write ever runs in the daemon. Exit code 0 and
the plan on standard output, or 2 and the mistakes on standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aeterna.config.loading import load
from aeterna.config.spec import encode
from aeterna.kernel.errors import ConfigurationError

OK = 0
WRONG = 2
USAGE = "usage: python -m aeterna.config PATH [--override KEY=VALUE]..."


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code."""
    paths: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--override":
            overrides.append(next(rest, ""))
        elif word.startswith("--override="):
            overrides.append(word.removeprefix("--override="))
        else:
            paths.append(word)
    if len(paths) != 1:
        sys.stderr.write(f"{USAGE}\n")
        return WRONG
    try:
        plan = load(Path(paths[0]), os.environ, overrides)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG
    sys.stdout.buffer.write(encode(plan) + b"\n")
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
