"""``aeterna top``: what it makes of samples, of a store that a program has open, and of a real server; on a real
terminal, too."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fcntl import ioctl

import pytest

from aeterna.cli.top.picture import QUEUES_MAX, picture
from aeterna.cli.top.sample import QueueLine, Rates, Sample, WorkerLine, as_document, rates_between
from aeterna.durable.stores.sqlite.run_lines import RunLine
from tests.cli.conftest import start
from tests.cli.test_cli_server import TOKEN, Running

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND


def run_line(name: str, state: str = "RUNNING", detail: str = "sleeping") -> RunLine:
    values = dict.fromkeys(RunLine._fields, 0) | {"id": name, "workflow": "fulfil", "state": state, "detail": detail}
    texts = {"namespace": "shop", "version": "1", "note": "", "queue": "", "share": "", "requires": ""}
    times = {"created_us": NOW - 60 * SECOND, "updated_us": NOW - 5 * SECOND, "finished_us": None}
    return RunLine(**values | texts | times | {"parent": None, "owner": None, "wake_us": None, "length": 7})


def sample(at_us: int = NOW, **changes) -> Sample:
    found = Sample(at_us, "store shop.db", {"RUNNING": 2, "COMPLETED": 5}, None, 0, (), (), ())
    return found._replace(**changes)


BUSY = sample(
    oldest_pending_us=NOW - 65 * SECOND,
    stuck=1,
    runs={"PENDING": 5, "RUNNING": 2},
    queues=(
        QueueLine("mails", 4, 2, 2, is_paused=False, oldest_us=NOW - 65 * SECOND),
        QueueLine("night", 1, 0, None, is_paused=True, oldest_us=None),
    ),
    workers=(WorkerLine(1, "", "host-a", 11, 1), WorkerLine(2, "second", "host-b", 12, 3)),
    latest=(run_line("order-1"), run_line("order-2", "FAILED", "")),
)


# --- what is made of samples -----------------------------------------------------------------------------------------


def test_rates_are_what_changed_between_two_samples():
    later = sample(NOW + 2 * SECOND, runs={"RUNNING": 3, "COMPLETED": 8, "FAILED": 1})
    assert rates_between(sample(), later) == Rates(started=2.5, ended=2.0)


@pytest.mark.parametrize("earlier", [None, sample(NOW + SECOND), sample(NOW)])
def test_there_is_no_rate_without_time_between(earlier):
    assert rates_between(earlier, sample()) is None


def test_runs_that_were_deleted_meanwhile_are_no_negative_rate():
    assert rates_between(sample(), sample(NOW + SECOND, runs={"RUNNING": 1})) == Rates(0.0, 0.0)


def test_a_picture_says_what_there_is_and_how_long_it_waits():
    assert picture(BUSY, Rates(2.5, 0.25), None).split("\n") == [
        "store shop.db, 2023-11-14T22:13:20.000000Z",
        "runs   5 pending (the oldest for 1 min 5 s), 2 running, 0 completed, 0 failed, 0 cancelled; 1 stuck",
        "rates  2.5 started, 0.2 ended per second",
        "",
        "QUEUE  PENDING  RUNNING  LIMIT   OLDEST",
        "mails  4        2        2       1 min 5 s",
        "night  1        0        paused  -",
        "",
        "WORKER  HOST    PID  RUNS",
        "second  host-b  12   3",
        "1       host-a  11   1",
        "",
        "RUN      WORKFLOW  STATE    DETAIL    CHANGED  EVENTS",
        "order-1  fulfil    RUNNING  sleeping  5 s ago  7",
        "order-2  fulfil    FAILED             5 s ago  7",
    ]


def test_a_picture_is_no_higher_than_the_terminal():
    queues = [QueueLine(f"q{number}", 0, 0, None, False, None) for number in range(QUEUES_MAX + 3)]
    shown = sample(queues=queues, latest=[run_line(f"order-{number}") for number in range(50)])
    lines = picture(shown, None, 24).split("\n")
    assert len(lines) == 24
    assert "and 3 more" in lines
    assert lines[-1].startswith("order-")
    assert len(picture(shown, None, 6).split("\n")) == 6


def test_a_problem_stands_above_the_last_good_sample():
    assert picture(sample(), None, None, "no server answers").split("\n")[3] == "! no server answers"


def test_a_document_has_times_for_programs():
    queue = QueueLine("mails", 4, 2, 2, False, NOW)
    document = as_document(sample(queues=[queue], workers=[WorkerLine(1, "w", "h", 11, 1)]), Rates(1.0, 2.0))
    assert document["queues"][0]["oldest_at"] == document["at"] == "2023-11-14T22:13:20.000000Z"
    assert (document["started_per_s"], document["ended_per_s"]) == (1.0, 2.0)
    assert document["workers"] == [{"number": 1, "name": "w", "host": "h", "pid": 11, "runs": 1}]


# --- a store, while a program has it ---------------------------------------------------------------------------------


@pytest.fixture
def waiting(place) -> Iterator[None]:
    """A run that waits, in a program that goes on meanwhile."""
    process = start("run", "jobs:waits", str(place / "noted"), "--id", "w")
    assert process.stdout.readline() == "waiting\n"
    yield
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


def test_a_store_is_shown_while_a_program_has_it(waiting, cli):
    out = cli("top", "--once").out
    assert "1 running, 0 completed" in out
    assert "w    waits" in out


def test_one_sample_as_json(waiting, cli):
    document = json.loads(cli("top", "--once", "--json").out)
    assert (document["runs"], document["stuck"], document["started_per_s"]) == ({"RUNNING": 1}, 0, None)
    assert [run["id"] for run in document["latest"]] == ["w"]
    assert [worker["runs"] for worker in document["workers"]] == [1]


def test_what_is_pending_in_a_queue_of_a_store_is_shown(place, cli):
    cli("run", "jobs:total", "1", "--id", "t")
    assert cli("queue", "put", "mails", "--concurrency", "2").code == 0
    document = json.loads(cli("top", "--once", "--json").out)
    assert document["queues"] == [
        {"name": "mails", "pending": 0, "running": 0, "concurrency": 2, "is_paused": False, "oldest_at": None}
    ]
    assert document["runs"] == {"COMPLETED": 1}


@pytest.mark.parametrize(("interval", "words"), [("0", "give 0.1 to 3600"), ("soon", "no number of seconds")])
def test_an_interval_that_cannot_be_is_refused(place, cli, interval, words):
    ended = cli("top", "--interval", interval)
    assert ended.code == 2
    assert words in ended.err


def test_without_a_terminal_one_line_of_json_follows_the_other(waiting):
    process = start("top", "--json", "--interval", "0.1")
    documents = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert [document["started_per_s"] for document in documents] == [None, 0.0, 0.0]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


# --- a server, on a terminal -----------------------------------------------------------------------------------------


@contextmanager
def on_terminal(*words: str, environ: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command on a pseudo-terminal of 24 lines, and the terminal's other end."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    settings = {**os.environ, "TERM": "xterm", **environ}
    settings.pop("COLUMNS", None)
    process = start(*words, stdin=theirs, stdout=theirs, stderr=theirs, env=settings)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, *words: str) -> str:
    """What the terminal shows until it has shown all words."""
    shown = ""
    while not all(word in shown for word in words):
        shown += os.read(terminal, 65_536).decode()
    return shown


def test_a_server_is_watched_on_a_terminal_that_is_given_back():
    with closing(Running()) as server:
        environ = {"AETERNA_SERVER": f"http://{server.addresses.http}", "AETERNA_TOKEN": TOKEN}
        with on_terminal("top", "--app", "orders", "--interval", "0.1", environ=environ) as (process, terminal):
            shown = read_until(terminal, "app orders", "per second", "WORKER")
            assert "\x1b[?1049h" in shown
            process.send_signal(signal.SIGINT)
            assert "\x1b[?1049l" in read_until(terminal, "\x1b[?25h")
            assert process.wait(30) == 130


def test_a_server_that_goes_away_is_said_so():
    with closing(Running()) as server:
        environ = {"AETERNA_SERVER": f"http://{server.addresses.http}", "AETERNA_TOKEN": TOKEN}
        process = start("top", "--app", "orders", "--json", "--interval", "0.1", env={**os.environ, **environ})
        assert json.loads(process.stdout.readline())["problem"] is None
    documents = (json.loads(line) for line in process.stdout)
    assert "no server answers" in next(each["problem"] for each in documents if each["problem"])
