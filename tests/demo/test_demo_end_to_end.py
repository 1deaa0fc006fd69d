"""The demo as a user runs it: a real parent, real workers, real SIGKILLs."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from aeterna.cli.demo.command import QUESTION, add_arguments, run
from aeterna.cli.demo.history_tail import HistoryTail
from aeterna.cli.demo.places import RUN_ID, prepared
from aeterna.cli.demo.supervise import Options, Supervisor, WorkerFailedError
from aeterna.cli.demo.views import QuietView
from aeterna.cli.main import main
from aeterna.kernel.clock import SystemClock
from aeterna.kernel.errors import ConfigurationError

COMMAND = """
import argparse, sys
from aeterna.cli.demo.command import add_arguments, run
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(run(parser.parse_args()))
"""


def parse(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.timeout(60)
def test_the_demo_survives_two_kills_and_proves_it(tmp_path, capsys):
    """No finished step runs twice, every process but the last is killed, and the answer is right."""
    code = run(parse("--dir", str(tmp_path / "demo"), "--pace-ms", "20", "--seed", "7", "--json"))
    report = json.loads(capsys.readouterr().out)

    assert code == 0, report["proof"]["breaches"]
    assert report["proof"]["recorded"] >= 100
    assert report["proof"]["repeated"] == 0
    assert report["proof"]["started"] == report["proof"]["recorded"] + report["proof"]["cut_off"]
    assert [process["exit_code"] for process in report["processes"]] == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert len({process["pid"] for process in report["processes"]}) == 3
    assert report["proof"]["tallies"][2]["replayed"] > report["proof"]["tallies"][1]["replayed"] > 0
    assert report["answer"]["question"] == QUESTION
    assert "will always be the last one executed" in report["answer"]["text"]
    svg = ET.parse(tmp_path / "demo" / "timeline.svg")
    assert [element.text for element in svg.iter()].count("SIGKILL") == 2


@pytest.mark.timeout(60)
def test_the_demo_tells_its_story_in_lines_where_there_is_no_terminal(tmp_path, capsys):
    code = run(parse("--dir", str(tmp_path / "demo"), "--pace-ms", "0", "--kills", "1", "--keep"))
    told = capsys.readouterr().out

    assert code == 0, told
    for part in (
        "SIGKILL",
        "goes on",
        "sleeping 1",
        "0 finished steps ran twice",
        QUESTION,
        "[1] topic 'try'",
        "killed once",
    ):
        assert part in told
    assert str(tmp_path / "demo" / "timeline.svg") in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dir", "file"), "--dir {here}/file: cannot be used: File exists"),
        (("--dir", "file/below"), "--dir {here}/file/below: cannot be used: Not a directory"),
        (("--dir", "file", "--keep"), "--dir {here}/file: cannot be used: File exists"),
        (("--dir", "/proc/demo"), "--dir /proc/demo: cannot be used: No such file or directory"),
        (("--dir", "."), "--dir {here}: holds files that are not a demo's"),
        (("--question", ""), "argument --question: it is empty"),
        (("--seed", "x"), "argument --seed: 'x' is no whole number"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_done(tmp_path, monkeypatch, capsys, arguments, message):
    """The caller's mistake: exit code 2, one message, no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()

    assert main(["demo", *arguments]) == 2
    assert message.format(here=tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.timeout(60)
def test_after_a_kill_of_the_parent_the_worker_that_holds_the_directory_is_named(tmp_path):
    """The worker outlives its parent and keeps the lock; a second demo names that process and no other."""
    command = [sys.executable, "-c", COMMAND, "--dir", str(tmp_path / "demo"), "--pace-ms", "300", "--kills", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline().split("(pid ")[1].split(")")[0])
        parent.kill()
    try:
        with pytest.raises(ConfigurationError, match=rf"running there \(process {worker}\); wait"):
            run(parse("--dir", str(tmp_path / "demo")))
    finally:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.timeout(60)
def test_ctrl_c_ends_the_demo_and_its_worker(tmp_path):
    """The parent says so and exits with 130, and the worker it had started is gone."""
    command = [sys.executable, "-c", COMMAND, "--dir", str(tmp_path / "demo"), "--pace-ms", "300", "--kills", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        first_line = parent.stdout.readline()
        parent.send_signal(signal.SIGINT)
        _, errors = parent.communicate()

    assert parent.returncode == 130
    assert "demo stopped" in errors
    worker = int(first_line.split("(pid ")[1].split(")")[0])
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def supervised(directory, **options):
    """Run the supervisor alone in ``directory``; returns it, with its processes."""
    with prepared(directory) as (places, lock):
        tail = HistoryTail(places.store, RUN_ID)
        supervisor = Supervisor(places, Options(QUESTION, 1, **options), tail, SystemClock(), QuietView())

        async def supervise():
            try:
                await supervisor.run(lock)
            finally:
                await tail.close()

        asyncio.run(supervise())
    return supervisor


def test_a_worker_that_fails_by_itself_is_reported_and_not_started_again(tmp_path):
    with pytest.raises(WorkerFailedError, match="ended by itself with exit code 1"):
        supervised(tmp_path / "demo", kills=2, pace_ms=0, python="/bin/false")


@pytest.mark.parametrize(("option", "value"), [("--kills", "11"), ("--kills", "-1"), ("--pace-ms", "20000")])
def test_an_option_out_of_range_is_refused_with_its_range(option, value, capsys):
    with pytest.raises(SystemExit):
        parse(option, value)
    assert "choose 0 to" in capsys.readouterr().err
