"""hypercorn with two workers: HUP ends all workers, then starts new ones."""

from __future__ import annotations

from bench.supervisor.peers.peer import ASGI_APP, SignalledServer, not_installed
from bench.supervisor.site import BIN


class Hypercorn(SignalledServer):
    """hypercorn's own process manager."""

    name = "hypercorn"
    reload_means = "SIGHUP to the parent (2 workers): all are ended, then new ones are started; the socket stays open"

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("hypercorn")

    def command(self) -> list[str]:
        bind = f"127.0.0.1:{self.site.port}"
        return [str(BIN / "hypercorn"), "-b", bind, "-w", "2", "-k", "uvloop", "--log-level", "warning", ASGI_APP]
