"""Reloads of a real service under a real supervisor: the happy way, and the ways back."""

from __future__ import annotations

from pathlib import Path

from tests.supervisor.live.backend import APP, free_port, get, running, uvicorn_config


def test_a_reload_replaces_the_process(tmp_path: Path) -> None:
    """Another process of the next generation answers, and the old one has left."""
    port = free_port()
    with running(tmp_path, uvicorn_config(port)) as backend:
        before = get(port).split()
        backend.write_app(APP.replace('"one"', '"two"'))
        report = backend.reload()
        assert (report["result"], report["from_generation"], report["to_generation"]) == ("succeeded", 1, 2)
        after = get(port).split()
        assert after[1:] == ["2", "two"]
        assert after[0] != before[0]
        backend.settle()
        assert backend.stop() == 0
