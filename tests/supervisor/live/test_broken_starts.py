"""A first version that cannot start, and the way out that people take: mend the file and reload."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from tests.supervisor.live.backend import Backend, free_port, get, uvicorn_config, wait_until


def test_a_start_that_never_comes_to_anything_is_replaced_by_a_reload(tmp_path: Path) -> None:
    """At once, not after its deadline of minutes; and the mended version is the one that a crash starts again."""
    port = free_port()
    mended = uvicorn_config(port)
    broken = {**mended, "service": {**mended["service"], "command": ["sleep", "1000"]}}
    with contextlib.closing(Backend(tmp_path, broken)) as backend:
        backend.start(wait_ready=False)
        wait_until(lambda: "STARTING" in backend.log(), "the start is under way")
        backend.configure(mended)
        assert backend.process is not None
        backend.process.send_signal(signal.SIGHUP)
        wait_until(lambda: is_served(port), "the mended version serves")
        pid, generation, _ = get(port).split()
        assert generation == "2"
        os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: is_served(port) and get(port).split()[1] == "3", "it is started again")
        assert backend.stop() == 0


def is_served(port: int) -> bool:
    try:
        return bool(get(port))
    except (OSError, AssertionError):
        return False
