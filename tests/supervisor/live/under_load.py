"""Reloads under load: a service, the load on it, and what its clients saw.

What is measured is recorded in the JSON file that ``AETERNA_CHAOS_RESULTS`` names, one entry for each test.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.supervisor.connection import Address
from bench.supervisor.load import LoadProcess, LoadSpec
from bench.supervisor.records import Kind, Outcome, Record
from bench.supervisor.summary import summarise
from tests.supervisor.live.backend import ROOT, Backend, running

IS_FULL = bool(os.environ.get("AETERNA_CHAOS"))
APPS = Path(__file__).parent / "apps"
ONE_SHOT_SHARE = 0.5
REUSED_AFTER_S = 0.1
WARM_UP_S = 1.0 if IS_FULL else 0.5
STEADY_S = 5.0 if IS_FULL else 0.5
AROUND_S = 2.0
"""Requests that were sent so long after a reload was asked for are those around it."""
GAP_MS_MAX = 1_000.0
"""Beyond any hiccup of a busy machine: nobody was served."""

BENCH_APP = "from bench.supervisor.apps.asgi_app import app\n"
WRAPPED_APP = f"""{BENCH_APP}
from aeterna.handover.asgi import HandoverMiddleware

app = HandoverMiddleware(app)
"""
WRAPPED_WSGI_APP = """from bench.supervisor.apps.wsgi_app import app
from aeterna.handover.wsgi import HandoverMiddleware

app = HandoverMiddleware(app)
"""
PLAIN_WSGI_APP = "from bench.supervisor.apps.wsgi_app import app\n"


def python(module: str, *words: str) -> list[str]:
    """The command that runs a module under the interpreter of the tests."""
    return [sys.executable, "-m", module, *words]


RUN_ASGI = python("aeterna", "run-asgi", "app:app", "--log-level", "warning", "--no-access-log")
UVICORN = python("uvicorn", "app:app", "--fd", "{fd:http}", "--log-level", "warning", "--no-access-log")
GTHREAD = python("gunicorn", "--workers", "2", "--worker-class", "gthread", "--threads", "8", "app:app")
GUNICORN = python("gunicorn", "--workers", "2", "--worker-class", "asgi", "app:app")
SLOW = 300.0 if IS_FULL else 100.0
"""Requests a second for servers that are slow themselves."""


def count(few: int, full: int) -> int:
    """How often: the full count only where it is asked for."""
    return full if IS_FULL else few


@dataclass(frozen=True)
class Site:
    """A service to reload: its command, the text of its ``app.py``, and whether it knows of handovers.

    ``rate_per_s``: what it can do on a fraction of a busy core, or at the full count on a core.
    """

    command: Sequence[str]
    app: str = BENCH_APP
    is_ours: bool = True
    orchestration: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    rate_per_s: float = 500.0 if IS_FULL else 250.0

    def config(self, port: int, folder: Path) -> dict[str, Any]:
        """Its configuration."""
        env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "BENCH_RELEASE_FILE": str(folder / "release")}
        return {
            "version": "v1",
            "service": {"name": "web", "command": list(self.command), "env": env},
            "sockets": {"http": {"listen": f"127.0.0.1:{port}"}},
            "orchestration": {
                "strategy": "immediate",
                "drain": {"timeout": "10s", "lame_duck": "400ms", "ws_close": {"spread": "200ms"}},
                **self.orchestration,
            },
            **self.more,
        }


def deploy(backend: Backend, release: str) -> None:
    """Put a release in place; a reload makes it serve."""
    (backend.folder / "release").write_text(release)


@contextlib.contextmanager
def serving(folder: Path, site: Site, port: int) -> Iterator[Backend]:
    """The service of that site, running its release 1."""
    (folder / "release").write_text("1")
    with running(folder, site.config(port, folder), site.app) as backend:
        yield backend


class Clients:
    """The load on a service, and what became of it. ``marks_s``: when reloads were asked for."""

    def __init__(self, load: LoadProcess) -> None:
        self._load = load
        self.records: list[Record] = []
        self.marks_s: list[float] = []
        self.ended_s = 0.0

    def mark(self) -> None:
        """A reload is asked for now."""
        self.marks_s.append(time.monotonic())

    def end(self) -> None:
        """No more requests; those under way are waited for."""
        self.ended_s = time.monotonic()
        self.records = self._load.stop()

    def failures(self, *kinds: Kind) -> list[Record]:
        """The requests of these kinds (of all, if none is named) that failed."""
        return [
            record
            for record in self.records
            if record.outcome is not Outcome.OK and (not kinds or record.kind in kinds)
        ]

    def told(self) -> str:
        """The failures in words: what, when (after which reload), and by whom."""
        lines = [f"{len(self.failures())} of {len(self.records)} requests failed"]
        for record in self.failures()[:20]:
            before = [mark_s for mark_s in self.marks_s if mark_s <= record.ended_s]
            after_ms = (record.ended_s - before[-1]) * 1000 if before else 0.0
            lines.append(
                f"{record.kind} {record.outcome} status {record.status} release {record.release!r}: ended "
                f"{after_ms:.0f} ms after reload {len(before)}, took {record.latency_ms:.0f} ms"
            )
        return "\n".join(lines)

    def figures(self) -> dict[str, Any]:
        """What is worth keeping, in one flat record."""
        open_loop = [record for record in self.records if record.kind in (Kind.ONE_SHOT, Kind.KEEP_ALIVE)] or [
            *self.records
        ]
        first_s = self.marks_s[0] if self.marks_s else self.ended_s
        steady = summarise(open_loop, open_loop[0].sent_s + WARM_UP_S, first_s)
        around = summarise([r for r in open_loop if any(0 <= r.sent_s - m < AROUND_S for m in self.marks_s)])
        gap_ms = summarise(open_loop, first_s, self.ended_s).gap_ms
        counts = Counter(f"failed {record.kind}" for record in self.failures())
        return {
            "reloads": len(self.marks_s),
            "requests": len(self.records),
            "failed": len(self.failures()),
            **counts,
            "gap_ms": round(gap_ms, 1),
            "steady_gap_ms": round(steady.gap_ms, 1),
            "p50_ms": round(around.p50_ms, 2),
            "p99_ms": round(around.p99_ms, 2),
            "steady_p50_ms": round(steady.p50_ms, 2),
            "steady_p99_ms": round(steady.p99_ms, 2),
        }


@contextlib.contextmanager
def loaded(folder: Path, port: int, **spec: Any) -> Iterator[Clients]:
    """The load on that port, warmed up; `Clients.end` ends it."""
    with LoadProcess(LoadSpec(Address(port=port), **spec), folder) as load:
        load.start()
        time.sleep(WARM_UP_S + STEADY_S)
        yield Clients(load)


def mixed(rate_per_s: float, closed_clients: int = 2) -> dict[str, Any]:
    """New and kept connections, so many requests a second, and some clients that ask again as soon as they may.

    A kept connection is used again well within the lame duck: one that idles longer learns of no handover, and a
    client that asks just when it is closed loses that request under every server there is.
    """
    pool_size = max(int(rate_per_s * ONE_SHOT_SHARE * REUSED_AFTER_S), 4)
    share = {"rate_per_s": rate_per_s, "one_shot_share": ONE_SHOT_SHARE, "pool_size": pool_size}
    return {**share, "closed_clients": closed_clients, "think_ms": 20.0}


def reload_often(backend: Backend, clients: Clients, times: int) -> None:
    """Deploy and reload one after the other, each when the old generation of the last one has left."""
    for number in range(times):
        deploy(backend, str(2 + number))
        clients.mark()
        report = backend.reload()
        assert report["result"] == "succeeded", f"{report}\n{backend.log()[-3000:]}"
        backend.settle()
    clients.end()


def keep(name: str, figures: dict[str, Any]) -> None:
    """Print the figures, and record them in the file for results if there is one."""
    print(f"{name}: {json.dumps(figures)}")
    path = os.environ.get("AETERNA_CHAOS_RESULTS")
    if not path:
        return
    with Path(path).open("a+") as file:
        # Several test processes write to it.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        results = json.loads(text) if text.strip() else {}
        results[name] = figures
        file.truncate(0)
        file.write(json.dumps(results, indent=2, sort_keys=True) + "\n")
