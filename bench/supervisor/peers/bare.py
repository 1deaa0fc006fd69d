"""No supervisor at all, and the smallest possible one: what nothing can be faster than.

The web application is exec'ed directly. Programs run under a loop of a dozen lines that waits on pidfds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from bench.supervisor.peers.peer import Peer, Program, not_installed, uvicorn_command
from bench.supervisor.site import end


class Bare(Peer):
    """A floor to compare with, no rival; it has no reload."""

    name = "bare"
    reload_means = "(none)"
    supervises = True
    only = frozenset({"restart", "start-up"})
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("uvicorn")

    def start_web(self) -> None:
        self._process = self.site.spawn([*uvicorn_command("--port", str(self.site.port))])

    def start_programs(self, programs: Sequence[Program]) -> None:
        order = json.dumps([program.argv for program in programs])
        self._process = self.site.spawn([sys.executable, "-m", "bench.supervisor.pidfd_loop", order])

    def reload(self) -> None:
        raise NotImplementedError("bare has no reload")

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
