"""``aeterna config schema``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.quick_msgspec import load_msgspec_quickly

DESCRIPTION = """\
Print the JSON Schema of a configuration. An editor that knows it completes keys and marks mistakes while one types;
with the YAML language server, write a first line `# yaml-language-server: $schema=aeterna.schema.json`.
"""

EPILOG = """\
examples:
  aeterna config schema > aeterna.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's description."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG


def run(_: argparse.Namespace) -> int:
    """Print the schema."""
    load_msgspec_quickly()
    from aeterna.config.json_schema import json_schema

    output.print_json(json_schema())
    return OK
