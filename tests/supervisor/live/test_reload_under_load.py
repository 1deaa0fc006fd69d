"""Real servers are reloaded while clients ask 500 times a second, on new connections and on kept ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.supervisor.records import Kind
from tests.supervisor.live.backend import ROOT, free_port
from tests.supervisor.live.under_load import (
    BENCH_APP,
    GAP_MS_MAX,
    GTHREAD,
    GUNICORN,
    IS_FULL,
    PLAIN_WSGI_APP,
    RUN_ASGI,
    SLOW,
    UVICORN,
    WRAPPED_APP,
    WRAPPED_WSGI_APP,
    Site,
    count,
    keep,
    loaded,
    mixed,
    python,
    reload_often,
    serving,
)

RELOADS = count(3, 100)
ASKED = {
    "startup": {"ready": "probe"},
    "canary": {"health_check": {"http_get": "/", "interval": "50ms", "timeout": "2s"}},
}
"""A server that does not say when it is ready is asked."""

HYPERCORN = python("hypercorn", "--bind", "fd://{fd:http}", "--worker-class", "uvloop", "app:app")
NODE = ["node", str(ROOT / "bench/supervisor/apps/node_app.js")]

SITES = {
    "run-asgi": Site(RUN_ASGI),
    "uvicorn with the middleware": Site(UVICORN, WRAPPED_APP),
    "gunicorn gthread with the middleware": Site(GTHREAD, WRAPPED_WSGI_APP, rate_per_s=SLOW),
    "gunicorn asgi with the middleware": Site(GUNICORN, WRAPPED_APP),
    "uvicorn": Site(UVICORN, BENCH_APP, is_ours=False),
    "hypercorn": Site(HYPERCORN, is_ours=False, orchestration=ASKED, rate_per_s=SLOW),
    "node": Site(NODE, is_ours=False, orchestration=ASKED),
}
if IS_FULL:
    SITES |= {
        "uvicorn, asked": Site(UVICORN, BENCH_APP, is_ours=False, orchestration=ASKED),
        "hypercorn with the middleware": Site(HYPERCORN, WRAPPED_APP, rate_per_s=SLOW),
        "gunicorn gthread": Site(GTHREAD, PLAIN_WSGI_APP, is_ours=False, orchestration=ASKED, rate_per_s=SLOW),
    }


@pytest.mark.parametrize("name", SITES)
def test_reloads_under_load_lose_nothing_that_can_be_kept(tmp_path: Path, name: str) -> None:
    """No request at all where the server knows of handovers; none on new connections where it does not."""
    site, port = SITES[name], free_port()
    with serving(tmp_path, site, port) as backend, loaded(tmp_path, port, **mixed(site.rate_per_s)) as clients:
        reload_often(backend, clients, RELOADS)
        assert backend.service()["generations"][0]["generation"] == RELOADS + 1
    figures = clients.figures()
    keep(f"reload under load: {name}", figures)
    failures = clients.failures() if site.is_ours else clients.failures(Kind.ONE_SHOT)
    assert not failures, f"{clients.told()}\n{backend.log()[-2000:]}"
    assert figures["gap_ms"] < GAP_MS_MAX
    assert clients.records[-1].release == str(RELOADS + 1)
