"""granian with two workers: HUP starts a new worker, waits 3.5 s (its default), and stops an old one."""

from __future__ import annotations

from bench.supervisor.peers.peer import ASGI_APP, SignalledServer, not_installed
from bench.supervisor.site import BIN


class Granian(SignalledServer):
    """granian's own supervisor; failed workers are started again, which is off by default."""

    name = "granian"
    reload_means = "SIGHUP to the parent (2 workers): a new worker, 3.5 s of waiting, then an old one is stopped"

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("granian")

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.site.port)]
        how = ["--interface", "asgi", "--workers", "2", "--respawn-failed-workers", "--log-level", "warning"]
        return [str(BIN / "granian"), *where, *how, ASGI_APP]
