# ruff: noqa: PTH123 - quick: no pathlib
"""``aeterna stop``."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal

from aeterna.cli import output
from aeterna.cli.awaiting import wait_for
from aeterna.cli.exit_codes import FAILED, NOT_FOUND, OK, CodedError
from aeterna.cli.instance import Instance
from aeterna.cli.options import add_config_option, add_json_option
from aeterna.cli.quoting import quoted
from aeterna.cli.supervisor_client import NotRunningError, SupervisorClient, connect

DESCRIPTION = """\
Stop a service, or without a name everything: each service as its configuration says, then the supervisor. Waits until
they are gone.
"""

EPILOG = """\
examples:
  aeterna stop
  aeterna stop web
"""

_ENDED = frozenset({"STOPPED", "FAILED"})
_TIMEOUT_S = 5.0
"""A supervisor that does not answer for that long is told by OS signal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="only this one; the supervisor goes on")
    parser.add_argument("--reason", default="", help="why; kept in the audit log")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it is gone")
    add_config_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Stop one service or everything."""
    with connect(args.config, _TIMEOUT_S) as client:
        if args.service is not None:
            _stop_service(client, args)
            return _told(args, args.service)
        try:
            client.post("/v1/stop", {"reason": args.reason}, wait_s=0)
        except NotRunningError:
            raise
        except CodedError as error:
            if not _terminate(client.instance):
                raise
            output.note(f"{error}; its keeper was told to end by SIGTERM")
        if not args.no_wait:
            wait_until_gone(client.instance)
    return _told(args, "")


def wait_until_gone(instance: Instance) -> None:
    """Return when nothing of the supervisor is left: its lock is free."""
    try:
        fd = os.open(instance.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def keeper_pid(instance: Instance) -> int | None:
    """The keeper that holds the lock; None if nobody does, or nobody knows."""
    try:
        fd = os.open(instance.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # While it is locked its holder lives, so the pid belongs to nobody else.
        return _read_pid(instance)
    finally:
        os.close(fd)
    return None


def _read_pid(instance: Instance) -> int | None:
    try:
        with open(instance.pid_file, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _terminate(instance: Instance) -> bool:
    """Tell a supervisor that does not answer, by OS signal. The keeper acts on it even without a daemon."""
    pid = keeper_pid(instance)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    return True


def _stop_service(client: SupervisorClient, args: argparse.Namespace) -> None:
    client.post(f"/v1/services/{quoted(args.service)}/stop", {"reason": args.reason})
    if args.no_wait:
        return
    try:
        wait_for(client, args.service, lambda service: service["state"] in _ENDED)
    except CodedError as error:
        # With its last service the supervisor ends, too.
        if error.exit_code not in {NOT_FOUND, FAILED} or keeper_pid(client.instance) is not None:
            raise


def _told(args: argparse.Namespace, service: str) -> int:
    state = "stopping" if args.no_wait else "stopped"
    if args.json:
        output.print_json({"service": service or None, "state": state.upper()})
    else:
        print(f"{service or 'the supervisor and its services'}: {state}")
    return OK
