"""Memory that only one generation may change, while clients keep changing it: not one increment is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.supervisor.records import Outcome
from tests.supervisor.live.backend import free_port, get
from tests.supervisor.live.under_load import (
    APPS,
    GAP_MS_MAX,
    RUN_ASGI,
    Site,
    count,
    deploy,
    keep,
    loaded,
    mixed,
    reload_often,
    serving,
)

APP = (APPS / "counting.py").read_text()
RELOADS = count(5, 1000)
CLIENTS = mixed(100.0, closed_clients=8)
WATCHED = {
    "strategy": "canary",
    "canary": {
        "soak_time": "3s",
        "health_check": {"http_get": "/health", "interval": "100ms", "timeout": "2s", "retries": 2},
    },
}


def site(rollback: str = "frozen", **orchestration: Any) -> Site:
    """The counting application, with state that is moved or the reload given up."""
    state = {"enabled": True, "on_missing": "abort", "rollback": rollback}
    drain = {"timeout": "10s", "lame_duck": "250ms"}
    return Site(RUN_ASGI, APP, orchestration={"state_handoff": state, "drain": drain, **orchestration})


def test_no_increment_is_lost_in_many_reloads(tmp_path: Path) -> None:
    """Every answer has a number of its own, and the last number is how many there were."""
    this, port = site(), free_port()
    with serving(tmp_path, this, port) as backend, loaded(tmp_path, port, **CLIENTS) as clients:
        reload_often(backend, clients, RELOADS)
        total = int(get(port, "/count"))
    keep("counter that outlives reloads", {**clients.figures(), "increments": total})
    assert not clients.failures(), f"{clients.told()}\n{backend.log()[-3000:]}"
    numbers = sorted(int(each.release) for each in clients.records)
    assert numbers == list(range(1, total + 1))
    assert clients.figures()["gap_ms"] < GAP_MS_MAX


@pytest.mark.parametrize("rollback", ["frozen", "reverse"])
def test_after_a_rollback_the_old_generation_has_its_memory(tmp_path: Path, rollback: str) -> None:
    """What the new one had counted is forgotten with `frozen`, and kept with `reverse`."""
    this, port = site(rollback, **WATCHED), free_port()
    with serving(tmp_path, this, port) as backend, loaded(tmp_path, port, **CLIENTS) as clients:
        pid = backend.service()["pid"]
        deploy(backend, "unwell")
        clients.mark()
        report = backend.reload()
        assert (report["result"], "/health: 500" in report["reason"]) == ("rolled_back", True), report
        assert backend.settle()["pid"] == pid
        clients.mark()
        deploy(backend, "2")
        assert backend.reload()["result"] == "succeeded", backend.log()[-3000:]
        backend.settle()
        clients.end()
        total = int(get(port, "/count"))
    keep(f"counter after a rollback: {rollback}", {**clients.figures(), "increments": total})
    assert not clients.failures(), f"{clients.told()}\n{backend.log()[-3000:]}"
    of_old_before = {int(each.release) for each in clients.records if each.pid == pid and is_ok(each)}
    answered = [int(each.release) for each in clients.records]
    assert max(answered) == total
    if rollback == "reverse":
        assert sorted(answered) == list(range(1, total + 1))
    else:
        assert len(of_old_before) == sum(each.pid == pid for each in clients.records), "it never counts anything twice"
        assert set(range(1, total + 1)) == set(answered)


def is_ok(record: Any) -> bool:
    return record.outcome is Outcome.OK
