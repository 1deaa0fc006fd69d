"""A server with several processes that each have a state: one moves, the others' are lost, and that is said."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.supervisor.live.backend import Backend, free_port, get, running, uvicorn_config, wait_until

APP = '''"""Answers who it is, and in which process its state began."""
import os
from aeterna import handover
from aeterna.handover.wsgi import HandoverMiddleware

STATE = handover.state("born", default=lambda: {"pid": os.getpid()})

def bare(environ, start_response):
    body = f"{os.getpid()} {STATE['pid']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

app = HandoverMiddleware(bare)
'''
GUNICORN = [sys.executable, "-m", "gunicorn", "app:app", "-w", "2", "-k", "gthread", "--no-control-socket"]


def told(backend: Backend, generation: int) -> tuple[int, int] | None:
    """Which process's state will move, and which process's will not, as the log says."""
    words = rf"several processes of generation {generation} have state: that of process (\d+) moves .* of \[(\d+)\] is"
    found = re.search(words, backend.log())
    return (int(found[1]), int(found[2])) if found else None


def states(port: int) -> dict[int, int]:
    """For both processes, where their state began."""
    found: dict[int, int] = {}

    def both() -> bool:
        pid, born = map(int, get(port).split())
        found[pid] = born
        return len(found) == 2

    wait_until(both, "both workers have answered")
    return found


def test_the_state_of_the_first_worker_moves_and_that_of_the_other_is_lost_aloud(tmp_path: Path) -> None:
    port = free_port()
    config = uvicorn_config(port, service={"name": "web", "command": GUNICORN})
    config["orchestration"]["state_handoff"] = {"enabled": True, "mode": "exclusive", "on_missing": "abort"}
    with running(tmp_path, config, APP) as backend:
        moves, stays = wait_until(lambda: told(backend, 1), "the division of generation 1 is told")
        assert states(port) == {moves: moves, stays: stays}
        report = backend.reload()
        assert report["result"] == "succeeded", backend.log()[-3000:]
        takes, begins = wait_until(lambda: told(backend, 2), "the division of generation 2 is told")
        backend.settle()
        assert states(port) == {takes: moves, begins: begins}
        assert backend.stop() == 0
