"""``aeterna start``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from aeterna.cli import output, starting
from aeterna.cli.exit_codes import OK, START_FAILED
from aeterna.cli.instance import Instance, existing_instance
from aeterna.cli.options import add_config_option, add_json_option
from aeterna.cli.service_lines import services_text
from aeterna.cli.supervisor_client import NotRunningError, SupervisorClient
from aeterna.kernel.errors import UsageError

DESCRIPTION = """\
Start the services of a configuration and keep them alive: in the foreground, as process 1 of a container too, or with
-d in the background. HUP reloads, TERM and INT stop, USR1 opens the log files anew.
"""

EPILOG = """\
examples:
  aeterna start
  aeterna start -c /etc/web/aeterna.yaml -d
  aeterna start --override orchestration.drain.timeout=5s --log-format json

With -d the command returns when every service is ready, or says why one is not; the supervisor goes on trying then, as
the service's restart policy says. What it prints goes to output.log in the directory that is named.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("-d", "--detach", action="store_true", help="run in the background")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        type=_setting,
        metavar="KEY=VALUE",
        help="set a key of the configuration, like orchestration.strategy=immediate; may be given several times",
    )
    parser.add_argument("--log-format", choices=["text", "json"], help="how lines are printed")
    add_config_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Become the supervisor, or start one in the background."""
    if args.json and not args.detach:
        raise UsageError("--json needs -d: in the foreground there is no result; --log-format json formats the log")
    instance = existing_instance(args.config)
    overrides = [*args.override, *([f"observability.log.format={args.log_format}"] if args.log_format else [])]
    lock_fd = starting.prepare(instance)
    plan = starting.checked_plan(instance, overrides)
    if isinstance(plan, int):
        return plan
    starting.write_plan(instance, plan)
    command = starting.supervisor_command(instance, overrides, lock_fd, is_detached=args.detach)
    if args.detach:
        return _start_aside(instance, command, lock_fd, as_json=args.json)
    return _become(command, lock_fd)


def _become(command: list[str], lock_fd: int) -> NoReturn:
    os.set_inheritable(lock_fd, True)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - the point is to become it


def _start_aside(instance: Instance, command: list[str], lock_fd: int, *, as_json: bool) -> int:
    code, printed = starting.run_aside(instance, command, lock_fd)
    if code:
        sys.stderr.write(printed)
    try:
        with SupervisorClient(instance) as client:
            document = client.get("/v1/status")
    except NotRunningError:
        output.note("the supervisor has ended")
        document = {"is_ready": False, "services": []}
    if as_json:
        output.print_json({"ready": document["is_ready"], "directory": str(instance.directory), **document})
    elif document["services"]:
        print(services_text(document["services"], output.now_us()))
        output.note(f"runs in the background; its output: {instance.output}")
    return OK if code == OK and document["is_ready"] else START_FAILED


def _setting(text: str) -> str:
    key, equals, _ = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r}: write KEY=VALUE")
    return text
