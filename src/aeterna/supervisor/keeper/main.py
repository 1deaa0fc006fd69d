# ruff: noqa: PTH100, PTH120 - small: no pathlib
"""Starts the keeper: ``python -I -S main.py OPTIONS -- DAEMON COMMAND``, by its path, with the standard library alone.

It must run whatever state the installed package is in, so it takes its own files and nothing else of the package.
The first thing it does is to install signal handlers: as process 1 it would not get what it does not handle.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, ModuleType

_HANDLED = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


def main() -> int:
    """Run a keeper with the arguments of the command line; returns its exit code."""
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            arrived.append(number)

    for each in _HANDLED:
        signal.signal(each, note)
    _make_importable()
    from aeterna.supervisor.keeper import setup

    return setup.run(sys.argv[1:], arrived)


def _make_importable() -> None:
    """Let the keeper's modules be imported by their full names without running any other file of the package."""
    here = os.path.dirname(os.path.abspath(__file__))
    for name in ("aeterna", "aeterna.supervisor", "aeterna.supervisor.keeper"):
        package = ModuleType(name)
        package.__path__ = [here] if name.endswith("keeper") else []
        sys.modules[name] = package


if __name__ == "__main__":
    sys.exit(main())
