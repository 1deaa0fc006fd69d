"""The share of new connections that a canary gets, and who answers the probes meanwhile."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest

from tests.supervisor.live.backend import Backend, free_port, request, wait_until
from tests.supervisor.live.under_load import APPS, IS_FULL, UVICORN, Site, count, keep, serving

APP = (APPS / "noting.py").read_text()
CONNECTIONS = count(1_500, 10_000)
SIGMAS = 4.5
"""One in 100,000 honest splits is farther away."""
PROBES = 20
SITE = Site(
    UVICORN,
    APP,
    is_ours=False,
    orchestration={
        "strategy": "canary",
        "canary": {
            "weights": [10, 100],
            "step_time": "10m",
            "soak_time": "10m",
            "health_check": {"http_get": "/", "interval": "20ms", "timeout": "2s"},
        },
    },
)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_canary_gets_its_share_and_every_probe(tmp_path: Path, host: str) -> None:
    """The share of the configuration first, then one that is set by hand."""
    port = free_port()
    site = Site(SITE.command, APP, orchestration=SITE.orchestration, more={"sockets": {"http": f"{host}:{port}"}})
    with serving(tmp_path, site, port) as backend:
        old, noted = backend.service()["pid"], backend.folder / "probes"
        noted.unlink()  # those of the start
        code, answer = backend.ask("POST", "/v1/reload")
        assert code == 202, answer
        new = wait_until(lambda: soaking(backend), "it soaks")
        assert new != old
        found = {10: share(host, port)}
        code, answer = backend.ask("POST", "/v1/services/web/canary", {"weight": 50})
        assert code == 202, answer
        found[50] = share(host, port)
        wait_until(lambda: len(noted.read_text().split()) > PROBES, "it was probed often")
        assert set(noted.read_text().split()) == {str(new)}, "only the new generation answers probes"
        backend.ask("POST", "/v1/services/web/promote")
        assert backend.report(answer["id"])["result"] == "succeeded"
        assert backend.settle()["pid"] == new
    keep(f"canary on {host}", {f"share at {weight}": round(100 * part, 2) for weight, part in found.items()})
    for weight, part in found.items():
        wanted = weight / 100
        bound = SIGMAS * math.sqrt(wanted * (1 - wanted) / CONNECTIONS)
        assert abs(part - wanted) <= (min(bound, 0.02) if IS_FULL else bound), found


def soaking(backend: Backend) -> int:
    """The new generation's pid when it soaks."""
    service = backend.service()
    if service["state"] != "SOAK":
        return 0
    newest = max(service["generations"], key=lambda each: each["generation"])
    return int(newest["pid"])


def share(host: str, port: int) -> float:
    """The part of new connections that the second generation answers."""
    answers = []
    for _ in range(CONNECTIONS):
        with socket.create_connection((host.strip("[]"), port), timeout=10) as sock:
            answers.append(request(sock, "GET", "/")[1])
    return answers.count("2") / len(answers)
