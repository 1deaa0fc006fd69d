"""gunicorn with two workers: HUP starts new ones, then stops the old ones."""

from __future__ import annotations

from typing import ClassVar

from bench.supervisor.peers.peer import ASGI_APP, WSGI_APP, SignalledServer, not_installed
from bench.supervisor.site import BIN


class Gunicorn(SignalledServer):
    """Its own ASGI worker."""

    name = "gunicorn"
    reload_means = "SIGHUP to the master (asgi workers, 2): new workers are forked, then the old ones are stopped"
    worker: ClassVar[str] = "asgi"
    app: ClassVar[str] = ASGI_APP

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("gunicorn")

    def command(self) -> list[str]:
        bind = f"127.0.0.1:{self.site.port}"
        return [str(BIN / "gunicorn"), "-b", bind, "-w", "2", "-k", self.worker, "--log-level", "warning", self.app]


class GunicornThreads(Gunicorn):
    """The WSGI application under its threaded worker."""

    name = "gunicorn-gthread"
    reload_means = "SIGHUP to the master (gthread workers, 2, WSGI)"
    worker = "gthread"
    app = WSGI_APP


class GunicornUvicorn(Gunicorn):
    """uvicorn's worker class for gunicorn."""

    name = "gunicorn-uvicorn"
    reload_means = "SIGHUP to the master (uvicorn workers, 2)"
    worker = "uvicorn.workers.UvicornWorker"
