"""circus with its own socket: a reload starts a new process, and stops the old one."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from bench.supervisor.peers.peer import Peer, Program, not_installed, uvicorn_command
from bench.supervisor.site import BIN, end


class Circus(Peer):
    """circusd holds the socket and the program listens on its descriptor."""

    name = "circus"
    reload_means = "circusctl reload: a new process is started, then the oldest is stopped; circus holds the socket"
    supervises = True
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("circus")

    def start_web(self) -> None:
        program = Program("web", uvicorn_command("--fd", "CIRCUS_SOCKET"))
        section = self._section(program).replace("CIRCUS_SOCKET", "$(circus.sockets.http)")
        socket = f"\n[socket:http]\nhost = 127.0.0.1\nport = {self.site.port}\n"
        self._start(f"{section}use_sockets = True\n{socket}")

    def start_programs(self, programs: Sequence[Program]) -> None:
        self._start("".join(self._section(program) for program in programs))

    @staticmethod
    def _section(program: Program) -> str:
        return f"\n[watcher:{program.name}]\ncmd = {shlex.join(program.argv)}\ncopy_env = True\n"

    def _start(self, sections: str) -> None:
        folder = self.site.folder
        head = f"[circus]\nendpoint = {self._endpoint}\npubsub_endpoint = ipc://{folder}/circus-events.sock\n"
        config = self.site.write("circus.ini", head + sections)
        self._process = self.site.spawn([str(BIN / "circusd"), str(config)])

    @property
    def _endpoint(self) -> str:
        return f"ipc://{self.site.folder}/circus.sock"

    def _ctl(self, *words: str) -> None:
        self.site.run([str(BIN / "circusctl"), "--endpoint", self._endpoint, "--timeout", "30", *words])

    def reload(self) -> None:
        self._ctl("reload", "web")

    def stop(self) -> None:
        if self._process is not None:
            self._ctl("quit")
            try:
                self._process.wait(40)
            finally:
                end(self._process)
