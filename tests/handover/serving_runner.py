"""``aeterna run-asgi`` as a process of a test, by its own module."""

from __future__ import annotations

import sys

from aeterna.cli.commands import run_asgi
from aeterna.cli.parser import Parser

if __name__ == "__main__":
    parser = Parser("run-asgi")
    run_asgi.add_arguments(parser)
    sys.exit(run_asgi.run(parser.parse(sys.argv[1:])))
