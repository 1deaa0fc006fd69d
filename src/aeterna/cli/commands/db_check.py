"""``aeterna db check``."""

from __future__ import annotations

import argparse

from aeterna.cli import output
from aeterna.cli.database import waiting
from aeterna.cli.exit_codes import FAILED, OK
from aeterna.cli.options import add_json_option, add_store_option
from aeterna.cli.store_choice import require_store
from aeterna.durable.stores.sqlite.checking import check_database

DESCRIPTION = """\
Read the whole store and report damage: SQLite's own check of every page, and that every history reads from its first
event to its last. Programs that use the store go on meanwhile. Exit code 1 if anything is wrong, 3 if there is no
store to read.
"""

EPILOG = """\
examples:
  aeterna db check
  aeterna db check --store orders-backup.db --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Check the store."""
    path = require_store(args.store)
    with waiting(f"reading {path}", is_wanted=not args.json):
        findings = check_database(path)
    if args.json:
        output.print_json({"store": str(path), "ok": not findings, "findings": findings})
    elif findings:
        print("\n".join(findings))
        output.note(f"{path} is damaged: keep the file, and restore a backup (`aeterna db backup` makes them)")
    else:
        print(f"{path}: nothing is wrong")
    return FAILED if findings else OK
