"""``aeterna __complete``: the candidates for the last word of an unfinished command line, one per line."""

from __future__ import annotations

import argparse
from itertools import pairwise

from aeterna.cli import registry
from aeterna.cli.exit_codes import OK
from aeterna.cli.parser import parser_of
from aeterna.kernel.errors import AeternaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.cli.server_choice import ServerChoice


def _modules(*names: str) -> frozenset[str]:
    return frozenset(f"aeterna.cli.commands.{name}" for name in names)


_RUN_VERBS = ("status", "history", "delete", "why", "signal", "query", "pause", "resume", "terminate", "fork")
TAKING_RUN_IDS = _modules("status", "cancel", *(f"workflow_{verb}" for verb in _RUN_VERBS))
TAKING_QUEUES = _modules(*(f"queue_{verb}" for verb in ("put", "pause", "resume", "delete")))
TAKING_SCHEDULES = _modules(
    *(f"schedule_{verb}" for verb in ("show", "put", "pause", "resume", "trigger", "backfill", "delete"))
)
TAKING_SERVICES = _modules("logs", "promote", "reload", "restart", "rollback", "stop")
IDS_MAX = 200
_TIMEOUT_S = 0.5
"""Somebody is typing."""


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
    return [] if before[-1].startswith("-") else _names(command.module, before)


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
        with connect(given, _TIMEOUT_S) as client:
            return [service["name"] for service in client.get("/v1/services")["services"]]
    except AeternaError:
        return []


def _names(module: str, before: list[str]) -> list[str]:
    """What the command is about: runs, queues or schedules, of the server or the store that the words mean."""
    from aeterna.cli.server_choice import chosen_server

    kinds = {"runs": TAKING_RUN_IDS, "queues": TAKING_QUEUES, "schedules": TAKING_SCHEDULES}
    kind = next((kind for kind, modules in kinds.items() if module in modules), "")
    given = dict(pairwise(before))
    options = ("server", "store", "token", "tls_ca")
    named = {name: given.get(f"--{name.replace('_', '-')}") for name in options}
    args = argparse.Namespace(app=given.get("--app") or given.get("--namespace"), **named)
    try:
        server = chosen_server(args)
        return _names_in_store(kind, args) if server is None else _names_at_server(kind, server)
    except AeternaError:
        # Somebody is typing: the command itself will say what is wrong.
        return []


def _names_at_server(kind: str, server: ServerChoice) -> list[str]:
    with server.connect(_TIMEOUT_S) as client:
        match kind:
            case "runs":
                found = client.get("/api/workflows", {"limit": IDS_MAX}, _TIMEOUT_S)["runs"]
            case "":
                found = []
            case _:
                found = client.get(f"/api/{kind}", timeout_s=_TIMEOUT_S)[kind]
    return [each["name" if kind == "queues" else "id"] for each in found]


def _names_in_store(kind: str, args: argparse.Namespace) -> list[str]:
    from aeterna.cli.store_choice import require_store
    from aeterna.durable.stores.sqlite.glance import Glance
    from aeterna.durable.stores.sqlite.run_lines import LineQuery

    with Glance(require_store(args.store)) as glance:
        match kind:
            case "runs":
                lines, _ = glance.runs(LineQuery(args.app, limit=IDS_MAX))
                return [line.id for line in lines]
            case "queues":
                return [str(name) for name, *_ in glance.queues(args.app)]
            case "schedules":
                return glance.schedules(args.app)
            case _:
                return []
