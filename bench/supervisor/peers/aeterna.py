"""Aeterna: a new generation beside the old one, which leaves when it is no longer needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import yaml

from bench.supervisor.peers.peer import ASGI_APP, WSGI_APP, Peer, Program, not_found, not_installed, uvicorn_command
from bench.supervisor.peers.pm2 import NODE_APP
from bench.supervisor.settings import Remembered
from bench.supervisor.site import BIN, Site

AETERNA = str(BIN / "aeterna")
QUIET = ("--log-level", "warning", "--no-access-log")
WATCHED = {
    "strategy": "canary",
    "canary": {
        "weights": [10, 100],
        "step_time": "1500ms",
        "soak_time": "2s",
        "health_check": {"http_get": "/", "interval": "100ms", "timeout": "1s", "retries": 2},
    },
}
"""How a release is watched in the workload of broken ones."""


class Aeterna(Peer):
    """The application under `aeterna run-asgi`, handed over at once."""

    name = "aeterna"
    reload_means = "aeterna reload: the new generation is started and ready before the old one is drained (run-asgi)"
    supervises = True
    command: ClassVar[tuple[str, ...]] = (AETERNA, "run-asgi", ASGI_APP, *QUIET)
    extra: ClassVar[dict[str, Any]] = {}
    env: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def missing(cls) -> str | None:
        return not_installed("aeterna") or not_found(AETERNA)

    @property
    def orchestration(self) -> dict[str, Any]:
        """How a new generation takes over."""
        return {"strategy": "immediate", "drain": {"lame_duck": "500ms", "timeout": "10s"}, **self.extra}

    def start_web(self) -> None:
        service = {"name": "web", "command": list(self.command), "env": dict(self.env)}
        sockets = {"http": {"listen": f"127.0.0.1:{self.site.port}"}}
        self._start({"service": service, "sockets": sockets, "orchestration": self.orchestration})

    def start_programs(self, programs: Sequence[Program]) -> None:
        """``reset_after``: a program that has run for a second dies for the first time, however often it died."""
        policy = {"reset_after": "1s", "max_attempts": 0}
        services = {
            program.name: {"command": list(program.argv), "restart": "always", "restart_policy": policy}
            for program in programs
        }
        if len(services) == 1:
            [(name, service)] = services.items()
            self._start({"service": {"name": name, **service}})
        else:
            self._start({"services": services})

    def _start(self, configuration: dict[str, Any]) -> None:
        told = {"version": "v1", **configuration, "observability": {"log_level": "warn"}}
        self._config.write_text(yaml.safe_dump(told, sort_keys=False))
        self._aeterna("start", "-d")

    @property
    def _config(self) -> Path:
        return self.site.folder / "aeterna.yaml"

    def _aeterna(self, verb: str, *words: str) -> None:
        self.site.run([AETERNA, verb, "-c", str(self._config), *words])

    def reload(self) -> None:
        self._aeterna("reload")

    def stop(self) -> None:
        self._aeterna("stop")


class AeternaWatched(Aeterna):
    """With a canary that is watched: 10 % of new connections first, then all, with the old generation standing by."""

    name = "aeterna-canary"
    reload_means = "aeterna reload with strategy canary: 10 % for 1.5 s, then 100 % for 2 s, probed every 100 ms"
    only = frozenset({"broken-import", "broken-crash"})
    extra = WATCHED


class AeternaWithMemory(Aeterna):
    """An application under `aeterna run-asgi` whose memory the next generation gets; nothing else runs beside it."""

    name = "aeterna-with-memory"
    command = (AETERNA, "run-asgi", "bench.supervisor.apps.state_app:app", *QUIET)
    extra: ClassVar[dict[str, Any]] = {"state_handoff": {"enabled": True, "mode": "exclusive", "on_missing": "abort"}}

    def __init__(self, site: Site, memory: Remembered) -> None:
        super().__init__(site)
        self.env = {"BENCH_STATE_KIND": memory.kind, "BENCH_STATE_MIB": str(memory.mebibytes)}

    def reload_with_report(self) -> str:
        """Reload, and what the supervisor reports of it, as JSON."""
        return self.site.run([AETERNA, "reload", "-c", str(self._config), "--report", "--json"])


class AeternaUvicorn(Aeterna):
    """The same uvicorn process as under the other supervisors, unmodified, on the inherited descriptor."""

    name = "aeterna-uvicorn"
    reload_means = "aeterna reload of an unmodified uvicorn on the inherited socket"
    only = frozenset({"reload", "reload-closed", "broken-import", "broken-crash", "start-up"})
    command = uvicorn_command("--fd", "{fd:http}")
    extra: ClassVar[dict[str, Any]] = {
        "startup": {"ready": "probe"},
        "canary": {"health_check": {"http_get": "/", "interval": "50ms", "timeout": "2s"}},
    }


class AeternaHypercorn(AeternaUvicorn):
    """An unmodified hypercorn, one process."""

    name = "aeterna-hypercorn"
    reload_means = "aeterna reload of an unmodified hypercorn on the inherited socket"
    command = (str(BIN / "hypercorn"), "-b", "fd://{fd:http}", "-w", "0", "-k", "uvloop", ASGI_APP)


class AeternaGunicorn(AeternaUvicorn):
    """An unmodified gunicorn with two threaded workers, the WSGI application. It takes its socket from LISTEN_FDS; told
    the descriptor with ``--bind fd://`` as well, it would take it twice and fail."""

    name = "aeterna-gunicorn"
    reload_means = "aeterna reload of an unmodified gunicorn (2 gthread workers) on the inherited socket"
    command = (str(BIN / "gunicorn"), "-w", "2", "-k", "gthread", WSGI_APP)


class AeternaNode(AeternaUvicorn):
    """The Node application, one process, on the inherited descriptor."""

    name = "aeterna-node"
    reload_means = "aeterna reload of a Node server that listens on the inherited socket"
    command = ("node", str(NODE_APP))
