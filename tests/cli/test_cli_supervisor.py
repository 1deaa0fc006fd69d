"""The commands with a real supervisor: started, looked at, reloaded, stopped, killed in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aeterna.cli import exit_codes
from tests.cli.conftest import Answer, finish, give, start
from tests.cli.supervised_place import Place, wait_gone


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place of one's own, its path short enough for Unix sockets; nothing runs there afterwards."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory / "r"))
    monkeypatch.chdir(directory)
    place = Place(directory)
    yield place
    place.kill_everything()
    shutil.rmtree(directory)


def test_from_start_to_stop(here: Place) -> None:
    """Start in the background, look, reload to new code, restart, and stop; nothing is left."""
    started = give("start", "-d")
    assert started.code == 0, started.err
    assert "web      RUNNING  1" in started.out
    first = here.service()
    assert (first["generation"], first["is_ready"]) == (1, True)
    assert give("status", "--quick").out == "ready\n"
    assert "version 1 serves" in give("logs", "web").out

    here.write("2")
    reloaded = give("reload")
    assert reloaded.code == 0, reloaded.err
    assert "web: succeeded after" in reloaded.out
    assert "generation 2 serves" in reloaded.out
    assert "version 2 serves" in give("logs").out
    assert here.service()["pid"] != first["pid"]

    second = here.service()
    assert give("restart", "web").code == 0
    third = here.service()
    assert third["pid"] != second["pid"]

    keeper = here.status()["keeper_pid"]
    stopped = give("stop")
    assert (stopped.code, stopped.out) == (0, "the supervisor and its services: stopped\n")
    assert isinstance(keeper, int)
    assert isinstance(third["pid"], int)
    wait_gone(keeper)
    wait_gone(third["pid"])
    assert give("status").code == exit_codes.NOT_FOUND
    assert not Path(here.instance.control_socket).exists()


def test_a_second_supervisor_is_refused_and_a_dead_one_leaves_no_lock(here: Place) -> None:
    assert give("start", "-d").code == 0
    keeper = here.status()["keeper_pid"]
    again = give("start", "-d")
    assert again.code == exit_codes.CONFLICT
    assert f"runs already as process {keeper}: `aeterna reload`" in again.err
    here.kill_everything()
    assert isinstance(keeper, int)
    wait_gone(keeper)
    assert give("status").code == exit_codes.NOT_FOUND
    assert give("start", "-d").code == 0
    assert give("stop").code == 0


def test_a_release_that_does_not_start_leaves_the_old_one_serving(here: Place) -> None:
    assert give("start", "-d").code == 0
    before = here.service()
    config = here.directory / "aeterna.yaml"
    config.write_text(config.read_text().replace("service.py", "missing.py"))
    answer = give("reload", "--json")
    assert answer.code == exit_codes.START_FAILED
    report = answer.json
    assert (report["result"], report["from_generation"]) == ("start_failed", 1)
    assert any("missing.py" in line for line in report["tail"])
    after = here.service()
    assert (after["pid"], after["generation"], after["state"]) == (before["pid"], 1, "RUNNING")
    assert give("stop").code == 0


def test_a_configuration_with_mistakes_starts_nothing(here: Place) -> None:
    config = here.directory / "aeterna.yaml"
    config.write_text(config.read_text().replace("strategy: immediate", "strategy: imediate"))
    answer = give("start")
    assert answer.code == exit_codes.USAGE
    assert "aeterna.yaml:9: orchestration.strategy = 'imediate'" in answer.err
    assert "immediate" in answer.err
    assert give("start", "-c", "nowhere.yaml").code == exit_codes.USAGE


def test_a_service_that_never_comes_up_is_told_by_start(here: Place) -> None:
    (here.directory / "service.py").write_text("import sys; print('no database', flush=True); sys.exit(3)")
    answer = give("start", "-d")
    assert answer.code == exit_codes.START_FAILED
    assert "exit code 3" in answer.out + answer.err


def test_the_daemon_may_be_killed_between_two_commands_and_during_one(here: Place) -> None:
    assert give("start", "-d").code == 0
    before = here.status()
    follower = start("logs", "-f", "-n", "0")
    daemon, keeper = before["daemon_pid"], before["keeper_pid"]
    assert isinstance(daemon, int)
    os.kill(daemon, signal.SIGKILL)
    after = here.status()
    assert (after["daemon_pid"] != daemon, after["keeper_pid"]) == (True, keeper)
    assert after["current_pid"] == before["current_pid"]
    here.write("2")
    assert give("reload").code == 0
    assert follower.stdout is not None
    while "version 2 serves" not in follower.stdout.readline():
        pass
    follower.send_signal(signal.SIGINT)
    assert finish(follower).code == exit_codes.INTERRUPTED
    assert give("stop").code == 0


def in_the_foreground(here: Place, *arguments: str) -> subprocess.Popen[str]:
    """A supervisor that a terminal would have; it has begun to serve when this returns."""
    process = start("start", *arguments)
    assert process.stdout is not None
    while "version 1 serves" not in process.stdout.readline():
        assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_an_os_signal_stops_it(here: Place, number: int) -> None:
    process = in_the_foreground(here)
    pid = here.service()["pid"]
    process.send_signal(number)
    assert finish(process).code == 0
    assert isinstance(pid, int)
    wait_gone(pid)


def test_in_the_foreground_hup_reloads(here: Place) -> None:
    process = in_the_foreground(here)
    here.write("2")
    process.send_signal(signal.SIGHUP)
    assert process.stdout is not None
    while "version 2 serves" not in process.stdout.readline():
        assert process.poll() is None
    assert give("stop").code == 0
    assert finish(process).code == 0


def test_a_setting_may_come_from_the_command_line(here: Place) -> None:
    process = in_the_foreground(here, "--override", "service.name=shop", "--log-format", "json")
    assert here.service()["name"] == "shop"
    assert give("reload").code == 0
    assert here.service()["name"] == "shop"
    assert give("stop").code == 0
    lines = [json.loads(line) for line in finish(process).out.splitlines()]
    assert lines


def test_modules_beside_the_configuration_do_not_stand_in_for_ours(here: Place) -> None:
    for name in ("json.py", "aeterna.py", "msgspec.py"):
        (here.directory / name).write_text("raise SystemExit('the wrong module')")
    answer = Answer(1, "", "")
    command = [sys.executable, "-P", "-c", "import sys; from aeterna.cli.main import main; sys.exit(main())"]
    for arguments in (["start", "-d"], ["reload", "--force"], ["stop"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        answer = Answer(done.returncode, done.stdout, done.stderr)
        assert answer.code == 0, answer.err


def test_looking_at_services_loads_only_what_it_needs(here: Place) -> None:
    """A command answers within 50 ms: what is not loaded takes no time."""
    assert give("start", "-d").code == 0
    code = (
        "import sys\nfrom aeterna.cli.main import main\n"
        "code = main(sys.argv[1:])\nprint(sorted(sys.modules), file=sys.stderr)\nsys.exit(code)"
    )
    # Without site, so that what measures coverage does not count as loaded by the command.
    environ = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    for arguments in (["status"], ["status", "--quick"], ["logs"], ["reload", "--no-wait"]):
        done = subprocess.run(
            [sys.executable, "-S", "-c", code, *arguments], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        loaded = set(eval(done.stderr.splitlines()[-1]))
        assert not loaded & {"asyncio", "h11", "rich", "pydantic", "msgspec", "dataclasses", "pathlib", "subprocess"}
    assert give("stop").code == 0


def test_a_supervisor_that_hangs_is_stopped_by_an_os_signal(here: Place) -> None:
    assert give("start", "-d").code == 0
    daemon = here.status()["daemon_pid"]
    assert isinstance(daemon, int)
    os.kill(daemon, signal.SIGSTOP)
    stopping = start("stop")
    assert stopping.stderr is not None
    try:
        assert "its keeper was told to end by SIGTERM" in stopping.stderr.readline()
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert finish(stopping).code == 0
