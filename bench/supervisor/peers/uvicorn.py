"""uvicorn with two workers, the fewest with which it has a supervisor: HUP replaces one after the other."""

from __future__ import annotations

from bench.supervisor.peers.peer import SignalledServer, not_installed, uvicorn_command


class Uvicorn(SignalledServer):
    """uvicorn's own multi-process supervisor."""

    name = "uvicorn"
    reload_means = "SIGHUP to the parent (2 workers): each is replaced when its successor is ready"

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("uvicorn")

    def command(self) -> list[str]:
        return [*uvicorn_command("--port", str(self.site.port)), "--workers", "2"]
