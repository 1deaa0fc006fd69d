"""Servers and workers as programs of their own, started, hurt and ended by their process ids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
END_S = 30.0


def now_us() -> int:
    """The wall clock of everything that is observed."""
    return time.time_ns() // 1000


class Process:
    """A program. ``prefix``: what it is started under, such as a network namespace; it must become the program itself
    (exec), so that the process id is the program's."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*prefix, *command],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_environment(), **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """SIGTERM, and wait; returns the exit code. What does not end is killed, and the code is that of SIGKILL."""
        if self.lives:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_S)
        self.kill()
        return -signal.SIGKILL

    def words(self) -> str:
        """The end of what it said."""
        return self.log.read_text("utf-8", "replace")[-4000:]


def _environment() -> dict[str, str]:
    """This process's, without what would change the programs' meaning."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AETERNA_")}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


class Server(Process):
    """``aeterna serve``; ready once constructed."""

    def __init__(
        self, db: str, host: str, port: int, log: Path, *options: str, prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.address = f"{host}:{port}"
        command = [sys.executable, "-m", "aeterna", "serve", "--db", db, "--host", host, "--grpc-port", str(port)]
        command += ["--http-port", "0"]
        at = log.stat().st_size if log.exists() else 0
        super().__init__([*command, *options], log, environment, prefix)
        deadline = time.monotonic() + START_S
        while b"ready:" not in log.read_bytes()[at:]:
            if not self.lives or time.monotonic() > deadline:
                self._process.kill()
                raise AssertionError(f"aeterna serve did not start:\n{self.words()}")
            time.sleep(0.01)


class Worker(Process):
    """A worker of `program`."""

    def __init__(
        self, servers: str, executions: Path, log: Path, *, step_s: float, prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        command = [sys.executable, "-m", "tests.cluster.program", servers, str(executions), str(step_s)]
        super().__init__(command, log, environment, prefix)


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
