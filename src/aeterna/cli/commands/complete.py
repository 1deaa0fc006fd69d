"""``aeterna __complete``: the candidates for the last word of an unfinished command line, one per line."""

from __future__ import annotations

import argparse
from itertools import pairwise

from aeterna.cli import registry
from aeterna.cli.exit_codes import OK
from aeterna.cli.parser import parser_of
from aeterna.kernel.errors import AeternaError

TAKING_RUN_IDS = frozenset(
    {
        "aeterna.cli.commands.status",
        "aeterna.cli.commands.workflow_status",
        "aeterna.cli.commands.workflow_history",
        "aeterna.cli.commands.workflow_delete",
        "aeterna.cli.commands.workflow_why",
        "aeterna.cli.commands.cancel",
    }
)
TAKING_SERVICES = frozenset(
    f"aeterna.cli.commands.{name}" for name in ("logs", "promote", "reload", "restart", "rollback", "stop")
)
IDS_MAX = 200
_SERVICES_TIMEOUT_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words typed so far; the last one, maybe empty, is to be completed."""
    parser.add_argument("words", nargs="*")


def run(args: argparse.Namespace) -> int:
    """Print the candidates; nothing if there is nothing to say."""
    *before, last = args.words or [""]
    for candidate in _candidates(before, last):
        if candidate.startswith(last):
            print(candidate)
    return OK


def _candidates(before: list[str], last: str) -> list[str]:
    path, command, is_known = _place(before)
    if not is_known:
        return []
    if command is None or command.commands:
        return [below.name for below in registry.commands_below(path)]
    if last.startswith("-"):
        return parser_of(path, command).option_names
    if before[-1] == "--state":
        from aeterna.cli.runs import STATES

        return list(STATES)
    if command.name == "completion":
        return ["bash", "zsh", "fish"]
    if command.name == "help":
        return [*(command.name for command in registry.COMMANDS), "exit-codes"]
    if before[-1] == "--service" or (command.module in TAKING_SERVICES and not before[-1].startswith("-")):
        return _services(before)
    return _run_ids(before) if command.module in TAKING_RUN_IDS and not before[-1].startswith("-") else []


def _place(before: list[str]) -> tuple[list[str], registry.Command | None, bool]:
    """The path of the command that the words name, the command, and whether every word up to it is known."""
    path: list[str] = []
    command = None
    for word in before:
        if not word.startswith("-"):
            found = registry.find([*path, word])
            if found is None:
                return path, command, command is not None and not command.commands
            path, command = [*path, word], found
    return path, command, True


def _services(before: list[str]) -> list[str]:
    from aeterna.cli.supervisor_client import connect

    given = next((value for name, value in pairwise(before) if name in {"-c", "--config"}), None)
    try:
        with connect(given, _SERVICES_TIMEOUT_S) as client:
            return [service["name"] for service in client.get("/v1/services")["services"]]
    except AeternaError:
        return []


def _run_ids(before: list[str]) -> list[str]:
    from aeterna.cli.store_choice import require_store
    from aeterna.durable.stores.sqlite.glance import Glance, LineQuery

    given = next((value for name, value in pairwise(before) if name == "--store"), None)
    try:
        with Glance(require_store(given)) as glance:
            lines, _ = glance.runs(LineQuery(limit=IDS_MAX))
    except AeternaError:
        # Somebody is typing: the command itself will say what is wrong.
        return []
    return [line.id for line in lines]
