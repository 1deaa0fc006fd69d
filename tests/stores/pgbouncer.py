"""A pgbouncer in front of the tests' PostgreSQL: each transaction may run on another connection of the server."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.stores.postgres_server import PostgresServer, free_port

_START_S = 30.0
_CONFIGURATION = """
[databases]
postgres = host=127.0.0.1 port={server_port} dbname=postgres user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
server_round_robin = 1
max_client_conn = 200
logfile = {directory}/log
pidfile = {directory}/pid
"""


class PgBouncer:
    """Pools connections to ``server`` by transaction, on a free port of 127.0.0.1."""

    def __init__(self, server: PostgresServer) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise RuntimeError("no pgbouncer: apt-get install pgbouncer (.ci/run does)")
        self.directory = Path(tempfile.mkdtemp(prefix="aepb-", dir="/tmp"))
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._program = program
        configuration = _CONFIGURATION.format(server_port=server.port, port=self.port, directory=self.directory)
        self.directory.joinpath("pgbouncer.ini").write_text(configuration, "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [self._program, str(self.directory / "pgbouncer.ini")]
        user = None
        if os.geteuid() == 0:
            user = "nobody"
            os.chown(self.directory, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user
        )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"pgbouncer did not start:\n{(self.directory / 'log').read_text('utf-8')[-2000:]}")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
