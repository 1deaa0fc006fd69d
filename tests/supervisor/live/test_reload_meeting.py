"""Reloads that meet another one: refused where somebody can be told, put off where nobody can."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.supervisor.live.backend import Backend, free_port, get, running, uvicorn_config, wait_until

BUSY = 14
SLOW_START = {
    "strategy": "immediate",
    "pre_flight": [{"name": "slow", "command": ["sleep", "2"]}],
    "drain": {"timeout": "5s", "lame_duck": "100ms"},
}


def config(port: int, **orchestration: Any) -> dict[str, Any]:
    return uvicorn_config(port, orchestration={**SLOW_START, **orchestration})


def begin(backend: Backend) -> str:
    """Begin a reload that takes a while; its id."""
    code, answer = backend.ask("POST", "/v1/reload")
    assert code == 202, answer
    wait_until(lambda: backend.service()["state"] == "PREFLIGHT", "it is under way")
    return str(answer["id"])


def test_a_second_reload_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    """409 with the id of the first, and exit code 14."""
    port = free_port()
    with running(tmp_path, config(port)) as backend:
        first = begin(backend)
        code, answer = backend.ask("POST", "/v1/services/web/reload")
        assert (code, first in answer["detail"]) == (409, True), answer
        done = backend.run("reload")
        assert (done.returncode, first in done.stderr) == (BUSY, True), done
        assert backend.report(first)["result"] == "succeeded"
        backend.settle()
        assert get(port).split()[1] == "2"


def test_signals_during_a_reload_make_one_reload_after_it(tmp_path: Path) -> None:
    """However many they are."""
    port = free_port()
    with running(tmp_path, config(port)) as backend:
        first = begin(backend)
        assert backend.process is not None
        for _ in range(3):
            backend.process.send_signal(signal.SIGHUP)
        assert backend.report(first)["result"] == "succeeded"
        ended = wait_until(lambda: second(backend), "the one that waited has ended")
        assert ended["result"] == "succeeded"
        found = backend.settle()
        assert (found["generation"], get(port).split()[1]) == (3, "3")
        assert backend.ask("GET", "/v1/reloads/web-3")[0] == 404


def second(backend: Backend) -> dict[str, Any] | None:
    code, report = backend.ask("GET", "/v1/reloads/web-2")
    return report if code == 200 and report["result"] else None


def test_a_reload_that_may_wait_is_run_afterwards(tmp_path: Path) -> None:
    """With `on_conflict: coalesce` those who ask during a reload are promised the next one."""
    port = free_port()
    with running(tmp_path, config(port, reload={"on_conflict": "coalesce"})) as backend:
        first = begin(backend)
        done = backend.run("reload", "--no-wait")
        assert done.returncode == 0, done
        assert backend.report(first)["result"] == "succeeded"
        wait_until(lambda: second(backend), "the one that waited has ended")
        backend.settle()
        assert get(port).split()[1] == "3"
