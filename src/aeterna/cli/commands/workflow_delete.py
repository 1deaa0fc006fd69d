"""``aeterna workflow delete``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from aeterna.cli import output
from aeterna.cli.exit_codes import FAILED, OK
from aeterna.cli.options import add_app_option, add_json_option, add_store_option
from aeterna.cli.runs import FINAL, find_runs
from aeterna.cli.server_choice import ServerChoice, chosen_server
from aeterna.cli.store_choice import require_store
from aeterna.durable.operations.owner import ask_owner
from aeterna.durable.stores.sqlite.glance import Glance
from aeterna.kernel.errors import InvalidStateError, UsageError

DESCRIPTION = """\
Delete finished runs with their histories, by id or by age. A run that has not ended is never deleted: cancel it first.
The space is used again by later runs; the file does not shrink.
"""

EPILOG = """\
examples:
  aeterna workflow delete order-1 order-2
  aeterna workflow delete --older-than 7d          asks before it deletes
  aeterna workflow delete --older-than 12h --yes
"""

_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_BATCH = 1_000
_REQUEST_BYTES = 32 * 1024
"""What one request to the owner may hold of ids; its limit is 64 kB."""

RunIds = Sequence[tuple[str, str]]
"""``(namespace, id)`` of each run."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("ids", nargs="*", metavar="ID", help="the runs' ids")
    parser.add_argument(
        "--older-than", type=_age_us, metavar="AGE", help="runs that ended longer ago: 90min, 12h, 7d, 2w"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Delete the runs."""
    if bool(args.ids) == (args.older_than is not None):
        raise UsageError("name the runs to delete, or give --older-than, not both")
    server = chosen_server(args)
    if server is not None:
        return _at_server(args, server)
    path = require_store(args.store)
    with Glance(path) as glance:
        if args.ids:
            lines = find_runs(glance, args.ids, args.app)
            unfinished = [f"{line.id!r} ({line.state})" for line in lines if line.state not in FINAL]
            if unfinished:
                raise InvalidStateError(f"not ended yet: {', '.join(unfinished)}: cancel first. Nothing was deleted")
            chosen = [(line.namespace, line.id) for line in lines]
        else:
            chosen = glance.ids_finished_before(output.now_us() - args.older_than, args.app)
    if args.older_than is not None and chosen and not args.yes and not _is_confirmed(len(chosen), path):
        output.note("nothing was deleted")
        return FAILED
    deleted = _delete(path, chosen)
    if args.json:
        output.print_json({"deleted": deleted, "chosen": len(chosen)})
    else:
        print(f"deleted {deleted} run{'' if deleted == 1 else 's'}")
    return OK if deleted == len(chosen) else FAILED


def _at_server(args: argparse.Namespace, server: ServerChoice) -> int:
    if args.older_than is not None and not args.yes:
        raise UsageError("finished runs of that age would be deleted at the server: say --yes")
    deleted, last = 0, 1
    with server.connect() as client:
        if args.ids:
            deleted = client.post("/api/workflows/delete", {"ids": args.ids})["deleted"]
        while args.older_than is not None and last:
            last = client.post("/api/workflows/delete", {"older_than_us": args.older_than, "limit": _BATCH})["deleted"]
            deleted += last
    if args.json:
        output.print_json({"deleted": deleted})
    else:
        print(f"deleted {deleted} run{'' if deleted == 1 else 's'}")
    return OK if deleted >= len(args.ids) else FAILED


def _is_confirmed(count: int, path: Path) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"{count} runs would be deleted from {path}: say --yes where nobody can be asked")
    print(f"delete {count} finished runs from {path}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _delete(path: Path, chosen: RunIds) -> int:
    deleted = 0
    rest = list(chosen)
    while rest:
        batch, rest = _split(rest)
        answer = ask_owner(path, {"op": "delete", "ids": [run_id for _, run_id in batch]})
        if answer is None:
            return deleted + _delete_directly(path, [*batch, *rest])
        deleted += answer["deleted"]
    return deleted


def _split(chosen: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """As many as one request holds, and the rest."""
    size = 0
    for count, (_, run_id) in enumerate(chosen):
        size += len(run_id.encode()) * 2 + 4
        if size > _REQUEST_BYTES and count:
            return chosen[:count], chosen[count:]
    return chosen, []


def _delete_directly(path: Path, chosen: RunIds) -> int:
    # Nobody has the store open, so this process may write to it. Imported here, because it takes a while.
    import asyncio

    from aeterna.durable.stores.sqlite import SqliteStore

    async def delete() -> int:
        deleted = 0
        for namespace in dict.fromkeys(namespace for namespace, _ in chosen):
            store = SqliteStore(path, namespace)
            await store.open()
            try:
                deleted += await store.delete_runs([run_id for of, run_id in chosen if of == namespace])
            finally:
                await store.close()
        return deleted

    return asyncio.run(delete())


def _age_us(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: use a number and one of {', '.join(_UNITS)}, like 7d")
    return round(float(found[1]) * _UNITS[found[2]] * output.US_PER_S)
