"""``aeterna version`` and ``aeterna --version``."""

from __future__ import annotations

import argparse
import sys

import aeterna
from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_json_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the version."""
    python = ".".join(map(str, sys.version_info[:3]))
    if getattr(args, "json", False):
        output.print_json({"aeterna": aeterna.__version__, "python": python})
    else:
        print(f"aeterna {aeterna.__version__} (Python {python})")
    return OK
