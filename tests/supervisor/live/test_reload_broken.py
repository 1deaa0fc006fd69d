"""Releases that are broken, in every way a release can be, under load: the old generation goes on serving."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.supervisor.records import Outcome
from tests.supervisor.live.backend import free_port, get, wait_until
from tests.supervisor.live.under_load import (
    APPS,
    GTHREAD,
    IS_FULL,
    PLAIN_WSGI_APP,
    RUN_ASGI,
    SLOW,
    Clients,
    Site,
    deploy,
    keep,
    loaded,
    mixed,
    serving,
)

APP = (APPS / "faulty.py").read_text()
WEIGHT = 20
LIMIT = "192M"


@dataclass(frozen=True)
class Broken:
    """A broken release, and what is said of it. ``serves``: it gets its share of the traffic first."""

    release: str
    result: str
    reason: str
    serves: bool = False


ALWAYS = (
    Broken("import", "start_failed", "exit code 3"),
    Broken("never", "start_failed", "warming_timeout"),
    Broken("leak at import", "start_failed", "out of memory"),
)
IN_SOAK = (
    Broken("crash", "rolled_back", "exit code 9", serves=True),
    Broken("unwell", "rolled_back", "/health: 500", serves=True),
    Broken("sick", "rolled_back", "/health: 500", serves=True),
    Broken("leak", "rolled_back", "out of memory", serves=True),
)
CASES = [("immediate", each) for each in ALWAYS] + [("canary", each) for each in IN_SOAK]
if IS_FULL:
    CASES += [("canary", each) for each in ALWAYS]


def site(strategy: str) -> Site:
    """A service that is asked for its health."""
    return Site(
        RUN_ASGI,
        APP,
        orchestration={
            "strategy": strategy,
            "startup": {"timeout": "10s"},
            "canary": {
                "weights": [WEIGHT, 100],
                "step_time": "3s",
                "soak_time": "1s",
                "health_check": {"http_get": "/health", "interval": "100ms", "timeout": "2s", "retries": 2},
            },
        },
        more={"limits": {"memory": LIMIT}},
        rate_per_s=200.0,
    )


@pytest.mark.parametrize(
    ("strategy", "broken"), CASES, ids=lambda each: each if isinstance(each, str) else each.release
)
def test_the_old_generation_goes_on_when_the_new_one_is_broken(tmp_path: Path, strategy: str, broken: Broken) -> None:
    """What fails is at most what was sent to the broken one, and the next release is as welcome as any."""
    this, port = site(strategy), free_port()
    with serving(tmp_path, this, port) as backend, loaded(tmp_path, port, **mixed(this.rate_per_s)) as clients:
        pid = backend.service()["pid"]
        if broken.release == "never":
            backend.configure(with_short_start(this.config(port, tmp_path)))
        deploy(backend, broken.release)
        clients.mark()
        report = backend.reload()
        assert (report["result"], broken.reason in report["reason"]) == (broken.result, True), report
        assert backend.settle()["pid"] == pid
        backend.configure(this.config(port, tmp_path))
        deploy(backend, "2")
        clients.mark()
        report = backend.reload(strategy="immediate")
        assert report["result"] == "succeeded", f"{report}\n{backend.log()[-3000:]}"
        backend.settle()
        clients.end()
    keep(f"broken release: {strategy}, {broken.release}", clients.figures())
    assert len(clients.failures()) <= allowed(clients, broken), f"{clients.told()}\n{backend.log()[-3000:]}"
    assert clients.records[-1].release == "2"


def test_a_server_that_says_ready_before_its_workers_are_has_to_show_it(tmp_path: Path) -> None:
    """gunicorn does, so that a release which does not import would be believed, and replace the old one."""
    port = free_port()
    this = Site(GTHREAD, PLAIN_WSGI_APP, rate_per_s=SLOW)
    with serving(tmp_path, this, port) as backend, loaded(tmp_path, port, **mixed(this.rate_per_s)) as clients:
        pid = backend.service()["pid"]
        deploy(backend, "import")
        clients.mark()
        report = backend.reload()
        assert (report["result"], "exit code" in report["reason"]) == ("start_failed", True), report
        assert backend.settle()["pid"] == pid
        clients.end()
    keep("broken release: gunicorn", clients.figures())
    assert not clients.failures(), f"{clients.told()}\n{backend.log()[-3000:]}"


def test_a_limit_of_memory_outlives_the_daemon(tmp_path: Path) -> None:
    """A process that its predecessor started is bounded by the new daemon, too."""
    port = free_port()
    with serving(tmp_path, site("immediate"), port) as backend:
        os.kill(backend.status()["daemon_pid"], signal.SIGKILL)
        wait_until(lambda: "a new daemon takes over" in backend.log(), "there is another daemon")
        get(port, "/leak")
        wait_until(lambda: "out of memory" in backend.log(), "the leak is found")


def with_short_start(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "orchestration": {**config["orchestration"], "startup": {"timeout": "1500ms"}}}


def allowed(clients: Clients, broken: Broken) -> int:
    """How many requests may fail: none, or those that the broken release answered, or held when it ended."""
    if not broken.serves:
        return 0
    answered_ill = sum(each.release == broken.release and each.outcome is not Outcome.OK for each in clients.records)
    held = 0 if broken.release in ("unwell", "sick") else 8
    return answered_ill + held
