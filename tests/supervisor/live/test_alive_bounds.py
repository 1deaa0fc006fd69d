"""Bounds on a process, and what it says of itself: memory, watchdog, priorities, status, time for the start."""

from __future__ import annotations

import os
from pathlib import Path

from tests.supervisor.live.alive import APP, about, config, lively, try_get, wait_pid
from tests.supervisor.live.backend import Backend, free_port, get, wait_until
from tests.supervisor.live.test_alive_daemon import kill_daemon


def test_a_process_that_uses_too_much_memory_is_started_again_and_the_reason_says_so(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port, limits={"memory": "64M"}) as backend:
        pid = backend.service()["pid"]
        get(port, "/allocate/10000000")
        try_get(port, "/allocate/120000000")
        wait_pid(backend, other_than=pid)
        service = backend.service()
        assert service["last_exit"].startswith("out of memory")
        assert service["restarts"] == 1
        assert "out of memory" in backend.run("status", "-c", str(backend.path)).stdout
        assert "oom" in backend.ask("GET", "/v1/metrics")[1] or "out of memory" in backend.log()


def test_a_process_that_does_not_feed_its_watchdog_is_started_again(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port, "feed=1", watchdog="600ms") as backend:
        pid = backend.service()["pid"]
        wait_pid(backend, other_than=pid)
        service = backend.service()
        assert "the watchdog was not fed" in service["last_exit"]
        assert "killed" in service["last_exit"]


def test_a_process_may_ask_to_be_treated_as_hanging(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        pid = backend.service()["pid"]
        # It may be killed before it has answered.
        try_get(port, "/tell/WATCHDOG=trigger")
        wait_pid(backend, other_than=pid)
        assert "asked to be treated as hanging" in backend.service()["last_exit"]


def test_what_a_process_says_of_itself_is_shown(tmp_path: Path) -> None:
    port = free_port()
    with lively(tmp_path, port) as backend:
        get(port, "/tell/STATUS=warming-the-cache")
        wait_until(lambda: backend.service()["detail"] == "warming-the-cache", "the status is shown")
        assert "warming-the-cache" in backend.run("status", "-c", str(backend.path)).stdout


def test_it_gets_the_priority_processors_and_limits_that_are_configured_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    cpu = min(os.sched_getaffinity(0))
    with lively(tmp_path, port, limits={"nice": 5, "affinity": [cpu], "nofile": 77}) as backend:
        found = about(port)
        assert (found["nice"], found["affinity"], found["nofile"]) == (5, [cpu], 77)
        assert found["fds"] == [0, 1, 2, 3]
        assert found["session"] == backend.service()["pid"]
        assert found["blocked"] == 0
        ours = {key for key in found["env"] if key.startswith(("LISTEN", "NOTIFY", "FDSTORE", "AETERNA", "WATCHDOG"))}
        assert {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "AETERNA_INSTANCE"} <= ours
        assert found["env"]["LISTEN_PID"] == str(backend.service()["pid"])
        assert "AETERNA_KEEPER_FD" not in ours


def test_a_start_that_takes_too_long_is_ended_and_the_reason_says_so(tmp_path: Path) -> None:
    port = free_port()
    settings = config(port, "silent", orchestration={"startup": {"ready": "notify", "timeout": "300ms"}})
    backend = Backend(tmp_path, settings, APP)
    try:
        backend.start(wait_ready=False)
        wait_until(lambda: "starting_timeout" in backend.log(), "the start is given up")
        service = wait_until(lambda: _service(backend), "the supervisor answers")
        wait_until(lambda: "starting_timeout" in backend.service()["last_exit"], "the reason is kept")
        assert service["name"] == "web"
    finally:
        backend.close()


def test_a_process_that_asks_for_more_time_gets_it(tmp_path: Path) -> None:
    port = free_port()
    app = APP.replace(
        '    time.sleep(float(settings.get("slow", 0)))',
        '    notify("EXTEND_TIMEOUT_USEC=20000000")\n    time.sleep(1)',
    )
    assert "EXTEND" in app
    settings = config(port, orchestration={"startup": {"ready": "notify", "timeout": "700ms"}})
    backend = Backend(tmp_path, settings, app)
    try:
        backend.start()
        assert backend.service()["restarts"] == 0
        assert backend.service()["generation"] == 1
    finally:
        backend.close()


def _service(backend: Backend) -> dict[str, object] | None:
    try:
        return backend.service()
    except OSError:
        return None


def test_a_process_that_forks_away_is_followed_by_the_one_that_it_names(tmp_path: Path) -> None:
    """Also by a new daemon; and when that one dies, it is started again with its own reason."""
    port = free_port()
    with lively(tmp_path, port, "forks") as backend:
        pid = int(get(port).split()[0])
        service = backend.service()
        assert (service["pid"], service["restarts"]) == (pid, 0)
        assert service["detail"] not in ("", f"I was {pid}")
        kill_daemon(backend)
        assert backend.service()["pid"] == pid
        get(port, "/end/21")
        assert wait_pid(backend, other_than=pid) != pid
        service = backend.service()
        assert (service["last_exit"], service["restarts"]) == ("exit code 21", 1)
