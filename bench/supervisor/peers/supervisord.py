"""supervisord: restart is stop, then start."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.supervisor.peers.peer import Peer, Program, not_installed, uvicorn_command
from bench.supervisor.site import BIN, end

HEAD = """\
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}

[unix_http_server]
file={folder}/supervisord.sock

[supervisorctl]
serverurl=unix://{folder}/supervisord.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""


class Supervisord(Peer):
    """The program binds its own port, as nearly every configuration has it."""

    name = "supervisord"
    reload_means = "supervisorctl restart: stop, then start"
    supervises = True
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("supervisor")

    def start_web(self) -> None:
        self.start_programs([Program("web", uvicorn_command("--port", str(self.site.port)))])

    def start_programs(self, programs: Sequence[Program]) -> None:
        self._start("".join(self._section("program", program) for program in programs))

    def _start(self, sections: str) -> None:
        self.site.write("supervisord.conf", HEAD.format(folder=self.site.folder) + sections)
        self._process = self.site.spawn([str(BIN / "supervisord"), "-c", str(self._config)])

    @staticmethod
    def _section(kind: str, program: Program, *lines: str) -> str:
        more = "".join(f"{line}\n" for line in lines)
        return f"\n[{kind}:{program.name}]\ncommand={shlex.join(program.argv)}\nautorestart=true\n{more}"

    @property
    def _config(self) -> Path:
        return self.site.folder / "supervisord.conf"

    def _ctl(self, *words: str) -> None:
        self.site.run([str(BIN / "supervisorctl"), "-c", str(self._config), *words])

    def reload(self) -> None:
        self._ctl("restart", "web")

    def stop(self) -> None:
        if self._process is not None:
            self._ctl("shutdown")
            try:
                self._process.wait(20)
            finally:
                end(self._process)


class SupervisordSocket(Supervisord):
    """The socket is held by supervisord (fcgi-program), so that connections wait while nothing runs."""

    name = "supervisord-socket"
    reload_means = "supervisorctl restart of an fcgi-program: stop, then start, with the socket kept open"

    def start_web(self) -> None:
        program = Program("web", uvicorn_command("--fd", "0"))
        self._start(self._section("fcgi-program", program, f"socket=tcp://127.0.0.1:{self.site.port}"))
