"""``aeterna db backup``."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from aeterna.cli import output
from aeterna.cli.database import progress
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_json_option, add_store_option
from aeterna.cli.store_choice import require_store
from aeterna.durable.stores.sqlite.backup import Progress, back_up
from aeterna.durable.stores.sqlite.side_thread import SideThread
from aeterna.kernel.clock import SystemClock

DESCRIPTION = """\
Copy the store, as it is at this moment, to a new file, sync it, and look whether the copy is sound: a damaged one is
not kept, and the exit code is 3. Programs that use the store go on meanwhile; a copy made with `cp` could be torn. To
restore: stop the program, and put the copy in the store's place without the old -wal and -shm files.
"""

EPILOG = """\
examples:
  aeterna db backup orders-backup.db
  aeterna db backup --store .aeterna/orders.db /backups/orders-$(date +%F).db
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("target", type=Path, metavar="TARGET", help="the new file; it must not exist")
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Make the backup."""
    source, target = require_store(args.store), args.target
    clock = SystemClock()
    started_us = clock.monotonic_us()
    with progress("copying", is_wanted=not args.json) as show:
        asyncio.run(_copy(source, target, show.draw))
    took_us = clock.monotonic_us() - started_us
    size = target.stat().st_size
    if args.json:
        output.print_json({"store": str(source), "target": str(target), "bytes": size, "duration_ms": took_us / 1_000})
    else:
        print(f"copied {source} to {target}: {output.bytes_text(size)} in {output.duration(took_us)}")
    return OK


async def _copy(source: Path, target: Path, show: Progress) -> None:
    thread = SideThread("aeterna-backup")
    try:
        await back_up(source, target, thread, show)
    finally:
        thread.close()
