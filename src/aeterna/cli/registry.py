"""The table of commands."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


class CommandModule(Protocol):
    """What the module of a command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options, description and examples."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Carry the command out; returns the exit code, or raises `AeternaError`."""
        ...


class Command(NamedTuple):
    """A command: the module that carries it out, or the commands of a group."""

    name: str
    summary: str
    module: str = ""
    commands: tuple[Command, ...] = ()

    def load(self) -> CommandModule:
        """Import the command's module."""
        return cast("CommandModule", importlib.import_module(self.module))


TOKEN = (
    Command("create", "give out a token", "aeterna.cli.commands.token_create"),
    Command("list", "show the tokens there are, without their secrets", "aeterna.cli.commands.token_list"),
    Command("revoke", "take a token back", "aeterna.cli.commands.token_revoke"),
)

WORKFLOW = (
    Command("list", "list runs, newest first", "aeterna.cli.commands.workflow_list"),
    Command("status", "show what a run is doing, and its result", "aeterna.cli.commands.workflow_status"),
    Command("history", "show every recorded event of a run", "aeterna.cli.commands.workflow_history"),
    Command("delete", "delete finished runs", "aeterna.cli.commands.workflow_delete"),
    Command("start", "start a run at a server", "aeterna.cli.commands.workflow_start"),
    Command("signal", "send a signal to a run", "aeterna.cli.commands.workflow_signal"),
    Command("query", "ask the code of a run", "aeterna.cli.commands.workflow_query"),
    Command("pause", "ask a run to pause", "aeterna.cli.commands.workflow_pause"),
    Command("resume", "let a paused or stuck run go on", "aeterna.cli.commands.workflow_resume"),
    Command("terminate", "end a run at once", "aeterna.cli.commands.workflow_terminate"),
    Command("fork", "start a run with the beginning of another one's history", "aeterna.cli.commands.workflow_fork"),
    Command("cancel", "ask a run to cancel", "aeterna.cli.commands.cancel"),
    Command("why", "say what a run waits for", "aeterna.cli.commands.workflow_why"),
)

QUEUE = (
    Command("list", "show the queues, their limits and what waits in them", "aeterna.cli.commands.queue_list"),
    Command("put", "set the limits of a queue", "aeterna.cli.commands.queue_put"),
    Command("pause", "let nothing of a queue start", "aeterna.cli.commands.queue_pause"),
    Command("resume", "let the runs of a queue start again", "aeterna.cli.commands.queue_resume"),
    Command("delete", "forget the limits of a queue", "aeterna.cli.commands.queue_delete"),
)

SCHEDULE = (
    Command("list", "show the schedules and when they fire next", "aeterna.cli.commands.schedule_list"),
    Command("show", "show one schedule and its next times", "aeterna.cli.commands.schedule_show"),
    Command("put", "create or replace a schedule", "aeterna.cli.commands.schedule_put"),
    Command("pause", "let a schedule fire no more", "aeterna.cli.commands.schedule_pause"),
    Command("resume", "let a schedule fire again", "aeterna.cli.commands.schedule_resume"),
    Command("trigger", "start a run of a schedule now", "aeterna.cli.commands.schedule_trigger"),
    Command("backfill", "start the runs of past times", "aeterna.cli.commands.schedule_backfill"),
    Command("delete", "delete a schedule", "aeterna.cli.commands.schedule_delete"),
)

WORKER = (Command("list", "show the workers that are connected", "aeterna.cli.commands.worker_list"),)

DB = (
    Command("backup", "copy the store to a new file, also while a program writes it", "aeterna.cli.commands.db_backup"),
    Command("check", "read everything and report damage", "aeterna.cli.commands.db_check"),
    Command("migrate", "bring the schema of a store up to date", "aeterna.cli.commands.db_migrate"),
    Command("verify", "say what is wrong with a store's content", "aeterna.cli.commands.db_verify"),
    Command("vacuum", "give space back", "aeterna.cli.commands.db_vacuum"),
    Command("export", "write runs and their histories as JSON lines", "aeterna.cli.commands.db_export"),
)

CONFIG = (
    Command("show", "print the configuration as it is understood", "aeterna.cli.commands.config_show"),
    Command("check", "say everything that is wrong with the configuration", "aeterna.cli.commands.config_check"),
    Command("schema", "print the JSON schema of the configuration", "aeterna.cli.commands.config_schema"),
)

VERSION = Command("version", "print the version", "aeterna.cli.commands.version")

COMMANDS: tuple[Command, ...] = (
    Command("demo", "watch a job being killed twice and finishing correctly", "aeterna.cli.demo.command"),
    Command("init", "create a small project that runs", "aeterna.cli.commands.init"),
    Command("run", "run a workflow and print its result", "aeterna.cli.commands.run"),
    Command("workflow", "start runs, look at them, talk to them, end them", commands=WORKFLOW),
    Command("cancel", "short for `workflow cancel`", "aeterna.cli.commands.cancel"),
    Command("queue", "limit how many runs go on at a time, and how fast they start", commands=QUEUE),
    Command("schedule", "start runs again and again", commands=SCHEDULE),
    Command("worker", "look at the workers of a server", commands=WORKER),
    Command("top", "watch runs, queues and workers as they change", "aeterna.cli.commands.top"),
    Command("token", "say who may use a server", commands=TOKEN),
    Command("serve", "serve runs to workers and clients on other machines", "aeterna.cli.commands.serve"),
    Command("start", "start the services of a configuration and keep them alive", "aeterna.cli.commands.start"),
    Command("status", "show the services; with an id, a run", "aeterna.cli.commands.status"),
    Command("reload", "replace a service's code without a gap", "aeterna.cli.commands.reload"),
    Command("promote", "accept a new version that is being watched", "aeterna.cli.commands.promote"),
    Command("rollback", "go back to the version before", "aeterna.cli.commands.rollback"),
    Command("canary", "set how much of the traffic a new version gets", "aeterna.cli.commands.canary"),
    Command("restart", "stop a service's process and start it again", "aeterna.cli.commands.restart"),
    Command("logs", "print what the services wrote", "aeterna.cli.commands.logs"),
    Command("stop", "stop a service, or everything", "aeterna.cli.commands.stop"),
    Command("run-asgi", "serve an ASGI application that reloads without a gap", "aeterna.cli.commands.run_asgi"),
    Command("config", "check and show the configuration", commands=CONFIG),
    Command("db", "back up and check the store", commands=DB),
    Command("doctor", "find out what is wrong with this machine or the store", "aeterna.cli.commands.doctor"),
    Command("completion", "print a completion script for bash, zsh or fish", "aeterna.cli.commands.completion"),
    VERSION,
    Command("help", "explain a command, or the exit codes", "aeterna.cli.commands.help"),
)

COMPLETE = Command("__complete", "candidates for a completion script", "aeterna.cli.commands.complete")
"""Hidden: for the completion scripts."""


def find(path: Sequence[str]) -> Command | None:
    """The command or group at a path, like ``["workflow", "list"]``; None if there is none."""
    commands = COMMANDS
    found = None
    for name in path:
        found = next((command for command in commands if command.name == name), None)
        if found is None:
            return None
        commands = found.commands
    return found


def commands_below(path: Sequence[str]) -> tuple[Command, ...]:
    """The commands of the group at a path; those of the program for an empty one."""
    group = find(path)
    return COMMANDS if group is None else group.commands
