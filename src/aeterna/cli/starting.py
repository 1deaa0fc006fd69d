"""Getting a supervisor going: the configuration checked, its directory private, its lock taken, its keeper's command.

What happens afterwards is the keeper's and the daemon's business. The lock is an open file that the keeper inherits and
holds for life, so that two supervisors of one configuration can never run, and no file says so wrongly after a crash.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aeterna.cli import exit_codes
from aeterna.cli.exit_codes import CodedError
from aeterna.cli.instance import Instance
from aeterna.config.places import check_socket_path, make_private

_SHOWN_BYTES_MAX = 16_384
"""How much of a failed start's output is shown; the file has all."""

_PYTHON = (sys.executable, "-P", "-m")
"""``-P``: a module in the current directory must not stand in for one of ours."""


def checked_plan(instance: Instance, overrides: Sequence[str]) -> bytes | int:
    """The plan as JSON; or, if the configuration cannot be used, the exit code, the mistakes having been printed.

    A child reads it: what that takes is never loaded here.
    """
    options = [f"--override={each}" for each in overrides]
    reader = [*_PYTHON, "aeterna.config", instance.config, *options]
    done = subprocess.run(reader, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        # A reader that was killed has no code of its own.
        return done.returncode if done.returncode > 0 else exit_codes.FAILED
    return done.stdout


def prepare(instance: Instance) -> int:
    """Make the directory and lock it; returns the descriptor that holds the lock.

    Raises `CodedError` if a supervisor runs already, `ConfigurationError` if the directory cannot be private.
    """
    directory = Path(instance.directory)
    directory.parent.parent.mkdir(parents=True, exist_ok=True)
    make_private(directory)
    check_socket_path(Path(instance.control_socket))
    fd = os.open(instance.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise _is_running(instance) from None
    return fd


def write_plan(instance: Instance, plan: bytes) -> None:
    """Leave the plan for the daemon, where nobody else can read it; needs the lock."""
    fresh = Path(f"{instance.plan}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(plan)
    fresh.replace(instance.plan)


def supervisor_command(instance: Instance, overrides: Sequence[str], lock_fd: int, *, is_detached: bool) -> list[str]:
    """The command that runs the keeper, which runs the daemon. Detached, it returns when the services are up or not."""
    # It knows the event loop, which takes a while to load and which only this command needs.
    from aeterna.supervisor.host.keeping import keeper_command

    daemon = [
        *(*_PYTHON, "aeterna.supervisor.daemon"),
        *("--directory", instance.directory),
        *("--plan", instance.plan),
        *(f"--option=--override={each}" for each in overrides),
        *(["--stay"] if is_detached else []),
    ]
    return keeper_command(
        daemon,
        detach=is_detached,
        log_path=instance.output if is_detached else "",
        pid_path=instance.pid_file,
        keep_fds=(lock_fd,),
    )


def run_aside(instance: Instance, command: Sequence[str], lock_fd: int) -> tuple[int, str]:
    """Run the detaching keeper until it says how the start went; returns the exit code and what was printed meanwhile.

    All output goes to the instance's file from the beginning: whoever reads ours must not wait for a process that
    stays. Takes the lock's descriptor, which the keeper holds from then on.
    """
    with open(instance.output, "ab+", opener=_private) as log:
        start = log.seek(0, os.SEEK_END)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock_fd,), check=False
        )
        os.close(lock_fd)
        log.seek(max(start, log.seek(0, os.SEEK_END) - _SHOWN_BYTES_MAX))
        return done.returncode, log.read().decode(errors="replace")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _is_running(instance: Instance) -> CodedError:
    try:
        pid = f" as process {int(Path(instance.pid_file).read_text('ascii'))}"
    except (OSError, ValueError):
        pid = ""
    return CodedError(
        exit_codes.CONFLICT,
        f"a supervisor for {instance.config} runs already{pid}: `aeterna reload` takes over what changed, "
        f"`aeterna status` shows its services, `aeterna stop` ends it",
    )
