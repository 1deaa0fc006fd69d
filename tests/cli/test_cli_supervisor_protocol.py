"""The commands against a control API whose documents a test sets: what is printed, exit codes, waits, silence.

The other side runs in a thread with a loop of its own; the socket between is real.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aeterna.cli import exit_codes
from aeterna.cli.instance import find_instance
from aeterna.cli.reload_report import CODES
from aeterna.kernel.clock import SystemClock
from aeterna.supervisor.control.contract import Answer, Outcome, ReloadResult
from aeterna.supervisor.control.server import ControlServer, ControlSockets, open_control_socket
from tests.supervisor.control_world import World, reload_report, service_document


class Running:
    """A world that is served. ``do`` runs a function on its loop, ``soon`` does so a moment later."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._is_up.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._end = self._loop.create_future()
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        with open_control_socket(self._directory) as listening:
            server = ControlServer(ControlSockets(listening), self.world, SystemClock(), self.world.audits.append)
            await server.start()
            self._is_up.set()
            await self._end
            await server.stop()

    def soon(self, *steps: Any) -> None:
        """Carry out the steps one after the other, 50 ms apart."""
        for number, step in enumerate(steps, 1):
            self._loop.call_soon_threadsafe(self._loop.call_later, 0.05 * number, step)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set_result, None)
        self._thread.join()


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current directory with a configuration that nobody runs, and a private runtime directory: paths of Unix sockets
    are short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory / "r"))
        monkeypatch.chdir(directory)
        (directory / "aeterna.yaml").write_text("version: v1\n")
        yield directory
        monkeypatch.chdir("/")


@pytest.fixture
def running(empty: Path) -> Iterator[Running]:
    """The same, and a world serves it."""
    directory = Path(find_instance(None).directory)
    directory.mkdir(parents=True, mode=0o700)
    found = Running(World(), directory)
    yield found
    found.close()


LOOKING = [["status"], ["reload"], ["stop"], ["restart"], ["rollback"], ["promote"], ["canary", "5"], ["logs"]]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_where_nothing_runs_the_command_says_how_to_start_it(cli, empty, command):
    answer = cli(*command)
    assert answer.code == exit_codes.NOT_FOUND
    assert "no supervisor runs for aeterna.yaml: start it with `aeterna start -c aeterna.yaml`" in answer.err


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_without_a_configuration_the_command_says_what_it_looked_for(cli, empty, command):
    (empty / "aeterna.yaml").unlink()
    answer = cli(*command)
    assert answer.code == exit_codes.USAGE
    assert "there is no aeterna.yaml (or .yml, .toml, .json) in" in answer.err


def test_a_configuration_is_found_from_below_and_by_name(cli, running, empty, monkeypatch):
    below = empty / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert cli("status").code == 0
    monkeypatch.chdir("/")
    assert cli("status", "-c", empty / "aeterna.yaml").code == 0
    (empty / "link.yaml").symlink_to("aeterna.yaml")
    assert cli("status", "--config", empty / "link.yaml").code == 0
    assert cli("status", "-c", empty / "other.yaml").code == exit_codes.NOT_FOUND


def test_the_status_is_a_table(cli, running):
    last = {"status": "rolled_back", "timestamp": "2026-01-01T00:00:00.000Z"}
    running.world.services["web"] = service_document(last_handover=last)
    running.world.services["worker"] = service_document(
        name="worker",
        phase="BACKOFF",
        is_ready=False,
        generation=0,
        pid=None,
        old_pid=7,
        uptime_s=None,
        memory_bytes=None,
        reload="worker-3",
        detail="starts again in 200 ms",
        last_exit="exit code 3",
    )
    answer = cli("status")
    head, web, worker, remark = answer.out.splitlines()
    assert head.split() == "SERVICE STATE GEN PID UPTIME RESTARTS WEIGHT MEMORY LAST RELOAD".split()
    assert web.startswith("web      RUNNING  3    4711")
    assert "1 min 2 s" in web
    assert "52.4 MB" in web
    assert "rolled back " in web
    assert worker.split()[:4] == ["worker", "BACKOFF", "-", "-"]
    assert worker.endswith("worker-3 under way")
    assert remark == "worker: starts again in 200 ms; last process: exit code 3"


def test_the_status_as_json_is_the_document(cli, running):
    assert cli("status", "--json").json["services"] == [service_document()]


def test_the_quick_status_is_for_health_checks(cli, running):
    assert (cli("status", "--quick").code, cli("status", "--quick").out) == (0, "ready\n")
    running.world.services["web"].update(is_ready=False)
    answer = cli("status", "--quick", "--json")
    assert (answer.code, answer.json) == (1, {"ready": False, "detail": "web is RUNNING, not ready"})


def test_the_quick_status_fails_with_1_where_nothing_runs(cli, empty):
    assert cli("status", "--quick").code == 1


def test_options_of_runs_and_of_services_are_kept_apart(cli, running):
    assert "give the id of one" in cli("status", "--store", "s.db").err
    assert "leave the id of the run away" in cli("status", "order-1", "--quick").err
    assert "there is no store at s.db" in cli("status", "order-1", "--store", "s.db").err


def begin(running: Running, **changes: Any) -> World:
    """A reload that the next order begins."""
    world = running.world
    world.reports["web-1"] = reload_report(**changes)
    world.answers = [Outcome(Answer.ACCEPTED, body={"id": "web-1"})]
    return world


@pytest.mark.parametrize("result", list(ReloadResult))
def test_the_exit_code_of_a_reload_is_its_verdict(cli, running, result):
    world = begin(running, tail=["line 1", "line 2"], reason="because")
    running.soon(
        lambda: world.move("web-1", "WARMING"), lambda: world.move("web-1", result=result.value, to_generation=4)
    )
    answer = cli("reload")
    assert answer.code == CODES[result.value]
    assert f"web: {result.replace('_', ' ')}" in answer.out + answer.err
    assert ("because" in answer.out + answer.err) is (answer.code != 0)
    assert "last lines of generation 4:\n  | line 1\n  | line 2" in answer.out + answer.err
    assert "  preflight    5 ms\n" in answer.err


def test_the_documented_verdicts_have_their_codes():
    assert set(CODES) == {result.value for result in ReloadResult}
    wanted = {"preflight_failed": 10, "start_failed": 11, "handoff_failed": 12, "rolled_back": 13, "degraded": 15}
    assert {name: CODES[name] for name in wanted} == wanted
    assert exit_codes.CONFLICT == 14


def test_a_reload_under_way_is_a_conflict(cli, running):
    running.world.answers = [Outcome(Answer.CONFLICT, "reload web-1 is under way (SOAKING)")]
    answer = cli("reload", "web", "--json")
    assert (answer.code, answer.json["error"]["message"]) == (14, "reload web-1 is under way (SOAKING)")


def test_a_wrong_configuration_is_shown_as_it_is(cli, running):
    running.world.answers = [Outcome(Answer.INVALID, "aeterna.yaml:3: a = 1\n  wrong: x\n  right: y")]
    answer = cli("reload")
    assert (answer.code, "aeterna.yaml:3: a = 1\n  wrong: x\n  right: y" in answer.err) == (2, True)


def test_what_a_reload_is_asked_for_arrives(cli, running):
    world = begin(running)
    answer = cli("reload", "--no-wait", "--force", "--strategy", "immediate", "--reason", "release 7")
    assert (answer.code, answer.out) == (0, "web: reload web-1 has begun\n")
    [order] = world.orders
    assert (order.is_forced, order.strategy, order.reason) == (True, "immediate", "release 7")


def test_a_reload_that_waits_its_turn_is_told(cli, running):
    running.world.answers = [Outcome(Answer.ACCEPTED, "it begins as soon as what is under way has ended")]
    assert cli("reload").out == "web: it begins as soon as what is under way has ended\n"


def test_the_report_has_everything(cli, running):
    begin(running, result="succeeded", state_bytes=1_000_000, blackout_ms=3.5, requested_by="uid=0 pid=5")
    answer = cli("reload", "--report")
    assert all(text in answer.out for text in ("web-1", "1.0 MB", "3.5 ms", "uid=0 pid=5", "PHASE", "preflight"))
    assert cli("reload", "--json").json["state_bytes"] == 1_000_000


def test_a_rollback_that_went_back_is_a_success(cli, running):
    begin(running, result="rolled_back")
    assert cli("rollback").code == 0


def test_a_promotion_waits_for_the_end(cli, running):
    world = begin(running)
    running.soon(lambda: world.move("web-1", "DRAIN"), lambda: world.move("web-1", result="succeeded"))
    assert (cli("promote", "web").code, "drain" in cli("promote", "web").err) == (0, True)


def test_the_weight_is_sent_and_must_be_a_percentage(cli, running):
    assert cli("canary", "25%").out == "web: the new version gets 25 % of the new connections\n"
    assert running.world.orders[0].weight == 25
    assert "give a whole number from 0 to 100" in cli("canary", "101").err
    assert len(running.world.orders) == 1


def test_a_restart_waits_for_another_process(cli, running):
    world = running.world
    running.soon(
        lambda: world.change(state="STOPPING"),
        lambda: world.change(state="STARTING", pid=4712),
        lambda: world.change(state="RUNNING", generation=4),
    )
    assert (cli("restart").code, cli("restart", "--no-wait").out) == (0, "web: restarting\n")


def test_a_restart_that_fails_says_why(cli, running):
    changes = {"state": "FAILED", "phase": "FAILED", "pid": None, "last_exit": "exit code 3", "detail": "for good"}
    running.soon(lambda: running.world.change(**changes))
    answer = cli("restart")
    assert (answer.code, answer.out) == (exit_codes.START_FAILED, "")
    assert "web: failed (exit code 3; for good); `aeterna logs web` says more" in answer.err


def test_a_service_is_stopped_and_waited_for(cli, running):
    running.soon(lambda: running.world.change(state="STOPPED"))
    assert (cli("stop", "web").code, running.world.services["web"]["state"]) == (0, "STOPPED")


def test_a_name_is_needed_where_there_are_several(cli, running):
    running.world.services["worker"] = service_document(name="worker")
    answer = cli("reload")
    assert (answer.code, "name one of web, worker" in answer.err) == (2, True)
    assert (cli("restart", "wrker").code, "did you mean 'worker'?" in cli("restart", "wrker").err) == (4, True)
    assert cli("reload", "ünmöglich/x").code == 4
    assert not running.world.orders


def test_lines_are_shown_with_where_they_come_from(cli, running):
    for number in range(3):
        running.world.log(f"line {number}")
    running.world.log("\x1b[31mred\x1b[2Jgone\x07")
    lines = cli("logs", "web", "-n", "2").out.splitlines()
    assert lines[0].endswith("web/3 stdout | line 2")
    assert lines[1].endswith("| \x1b[31mred\\x1b[2Jgone\\x07\x1b[0m")
    assert '"text":"line 2"' in cli("logs", "-n", "2", "--json").out
    assert cli("logs", "-n", "0").out == ""
    assert "give 0 to 10000" in cli("logs", "-n", "10001").err


def test_completion_knows_the_services(cli, running):
    assert cli("__complete", "reload", "").out.split() == ["web"]
    assert cli("__complete", "canary", "5", "--service", "").out.split() == ["web"]
    assert cli("__complete", "logs", "-c", str(Path.cwd() / "aeterna.yaml"), "w").out.split() == ["web"]
    assert cli("__complete", "reload", "--no").out.split() == ["--no-wait"]


def test_completion_is_silent_where_nothing_runs(cli, empty):
    assert cli("__complete", "reload", "").out == ""


def test_a_supervisor_that_is_busy_for_long_is_said_not_to_answer(cli, empty):
    """A socket that somebody holds and nobody serves, as between two daemons."""
    directory = Path(find_instance(None).directory)
    directory.mkdir(parents=True, mode=0o700)
    with open_control_socket(directory):
        answer = cli("status", "--quick")
    assert (answer.code, "does not answer: no answer within 3 s" in answer.out) == (1, True)
