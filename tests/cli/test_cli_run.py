"""``aeterna run``: results, arguments, failures, and Ctrl-C."""

from __future__ import annotations

import signal

import pytest

from tests.cli.conftest import finish, give, start


def test_the_result_is_printed_as_json(place):
    answer = give("run", "jobs:total", "1", "2")
    assert (answer.code, answer.json) == (0, {"total": 3})
    assert (place / ".aeterna" / "shop.db").exists()


def test_json_says_how_it_went(cli, jobs):
    record = cli("run", f"{jobs}:total", 1, "--kwarg", "b=5", "--id", "r1", "--json").json
    assert record.pop("duration_ms") >= 0
    assert record == {
        "id": "r1",
        "workflow": "total",
        "state": "COMPLETED",
        "result": {"total": 6},
        "error": None,
        "events": 4,
    }


@pytest.mark.parametrize(
    ("given", "received"), [("A-1", "A-1"), ("42", "42"), ('"42"', "42"), ("{", "{"), ("true", "true")]
)
def test_a_text_is_taken_as_it_is_where_a_text_is_wanted(cli, jobs, given, received):
    assert cli("run", f"{jobs}:echo", given).json == received


def test_a_file_may_be_named_instead_of_a_module(cli, jobs, place):
    (place / "sub").mkdir()
    (place / f"{jobs}.py").rename(place / "sub" / f"{jobs}_in_sub.py")
    assert cli("run", f"sub/{jobs}_in_sub.py:total", 1).json == {"total": 2}


def test_a_workflow_may_be_named_as_it_is_recorded(cli, jobs):
    """Raw bytes come out as base64, JSON has nothing better."""
    assert cli("run", f"{jobs}:raw-bytes").json == "YWJj"


def test_the_same_id_is_the_same_run(cli, jobs):
    first = cli("run", f"{jobs}:total", 1, "--id", "once")
    again = cli("run", f"{jobs}:total", 99, "--id", "once")
    assert (again.code, again.json) == (0, first.json)
    assert "run 'once' exists already and has ended" in again.err
    assert "the arguments given now differ" in again.err
    by_name = cli("run", f"{jobs}:total", "--kwarg", "a=1", "--kwarg", "b=1", "--id", "once")
    assert "differ" not in by_name.err


def test_an_unfinished_run_of_that_id_goes_on(place):
    process = start("run", "jobs:waits", place / "out", "--id", "w")
    assert process.stdout.readline() == "waiting\n"
    process.kill()
    finish(process)
    process = start("run", "jobs:waits", place / "out", "--id", "w")
    assert process.stderr.readline() == "run 'w' exists already and goes on\n"
    process.send_signal(signal.SIGINT)
    assert "differ" not in finish(process).err


def test_options_may_stand_between_the_arguments(cli, jobs):
    assert cli("run", "--id", "i", f"{jobs}:total", 1, "--json", 4).json["result"] == {"total": 5}
    assert cli("run", f"{jobs}:total", "--id", "n", "--", "-1", "-2").json == {"total": -3}


STUCK = """
import asyncio
import os

from aeterna import App, Context

app = App("changing")


@app.step(name=os.environ["STEP"])
async def one() -> None: ...


@app.step
async def stay() -> None:
    print("one is recorded", flush=True)
    await asyncio.Event().wait()


@app.workflow(version=os.environ["VERSION"])
async def work(ctx: Context) -> None:
    await one()
    await stay()
"""


@pytest.fixture
def changed(place, monkeypatch):
    """Leaves a run 's' of the code above in the middle, then changes the environment to that of other code."""
    (place / "changing.py").write_text(STUCK)

    def change(step, version):
        monkeypatch.setenv("STEP", "a")
        monkeypatch.setenv("VERSION", "1")
        process = start("run", "changing:work", "--id", "s")
        assert process.stdout.readline() == "one is recorded\n"
        process.kill()
        finish(process)
        monkeypatch.setenv("STEP", step)
        monkeypatch.setenv("VERSION", version)

    return change


@pytest.mark.parametrize(
    ("step", "version", "code", "said"),
    [("b", "1", 1, "recorded : step 'a' #1"), ("a", "2", 4, "pinned to version '1'")],
)
def test_a_stuck_run_is_told_once_with_what_to_do(changed, step, version, code, said):
    """Changed code, or code of another version: the error, a hint, and nothing twice."""
    changed(step, version)
    stuck = give("run", "changing:work", "--id", "s")
    assert stuck.code == code
    assert stuck.err.count(said) == 1
    assert "what to do: put back code that fits its history" in stuck.err
    status = give("status", "s")
    assert "aeterna cancel s" in status.out
    assert "run 's': " not in status.out
    assert "aeterna cancel ID" in give("doctor").out


def test_a_stuck_run_ends_by_its_cancellation_when_a_program_comes(changed):
    """Though the code fits no better: nothing of it can clean up."""
    changed("b", "1")
    assert give("run", "changing:work", "--id", "s").code == 1
    assert give("cancel", "s", "--json").json["done"] == "recorded"
    ended = give("run", "changing:work", "--id", "s")
    assert (ended.code, "was cancelled" in ended.err) == (1, True)


def test_a_stuck_run_is_ended_at_once_by_the_program_that_has_the_store(changed):
    changed("b", "1")
    other = start("run", "changing:work", "--id", "other")
    assert other.stdout.readline() == "one is recorded\n"
    answer = give("cancel", "s")
    assert answer.out == "ended run 's', which was stuck: nothing of it could clean up\n"
    assert give("status", "s", "--json").json["state"] == "CANCELLED"
    other.send_signal(signal.SIGINT)
    finish(other)


def test_a_failing_workflow_shows_type_message_and_traceback(place):
    answer = give("run", "jobs:fails", "--id", "f1")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("aeterna: run 'f1' failed: ValueError: no stock\n")
    assert "recorded traceback:\nTraceback" in answer.err
    assert 'raise ValueError("no stock")' in answer.err


def test_a_failing_workflow_is_json_too(cli, jobs):
    answer = cli("run", f"{jobs}:fails", "--json")
    assert (answer.code, answer.json["state"], answer.json["error"]["message"]) == (1, "FAILED", "no stock")


def test_store_and_persistence_of_the_app_can_be_overridden(cli, jobs, place):
    assert cli("run", f"{jobs}:total", 1, "--store", "elsewhere.db").code == 0
    assert (place / "elsewhere.db").exists()
    assert not (place / ".aeterna").exists()
    assert cli("workflow", "list", "--store", "elsewhere.db", "--json").json["runs"][0]["app"] == "shop"


def test_memory_leaves_no_file(cli, jobs, place):
    assert cli("run", f"{jobs}:total", 1, "--persistence", "memory").code == 0
    assert not (place / ".aeterna").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("jobs",), 2, "'jobs' names no workflow: write MODULE:WORKFLOW"),
        (("jobz:total",), 4, "there is no module 'jobz' in"),
        (("jobz:total",), 4, "did you mean 'jobs'?"),
        (("jobz.py:total",), 4, "there is no file jobz.py; did you mean 'jobs'?"),
        (("json.py:total",), 4, "there is no file json.py"),
        (
            ("jobs:totl",),
            4,
            "module jobs has no workflow 'totl'; it has total, echo, raw, fails, waits, many, raw-bytes",
        ),
        (("jobs:totl",), 4, "did you mean 'total'?"),
        (("jobs:add",), 4, "module jobs has no workflow 'add'; 'add' is a step: call it in a workflow"),
        (("math:total",), 4, "it has no workflows: decorate an async function with @app.workflow"),
        (("broken:total",), 4, "module 'broken' cannot be imported: ZeroDivisionError: division by zero ("),
        (("needy:total",), 4, "module 'needy' cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        (("twice:total",), 2, "app 'twice' has a step 'one' already"),
        (("jobs:total",), 2, "workflow 'total': missing a required argument: 'a'; it is total(a, b)"),
        (("jobs:total", "1", "--kwarg", "b"), 2, "'b': write NAME=VALUE"),
        (("jobs:total", "1", "--kwarg", "b=1", "--kwarg", "b=2"), 2, "given twice with --kwarg"),
        (("jobs:total", "1", "--store", "memory:", "--persistence", "snapshot"), 2, "contradict each other"),
        (("jobs:total", "1", "--store", "mysql://x"), 2, "is no store: use sqlite:///PATH"),
        (("jobs:total", "1", "--persistence", "paper"), 2, "invalid choice: 'paper'"),
        (("jobs:total", "1", "--store", "/proc/x.db"), 3, "lets nobody make a file there"),
        (("jobs:total", "1", "--store", "jobs.py"), 3, "jobs.py is not an Aeterna store but a file of another kind"),
        (("jobs:total", "1", "--store", "jobs.py/s.db"), 3, "What should be its directory is a file"),
        (("jobs:total", "1", "--store", "."), 3, "is not an Aeterna store but a directory"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(place, arguments, code, message):
    """Never a traceback of Aeterna's own; the exit code says whose turn it is."""
    (place / "broken.py").write_text("1 / 0\n")
    (place / "needy.py").write_text("import nowhere\n")
    (place / "twice.py").write_text(
        "from aeterna import App\napp = App('twice')\ndef one(): ...\napp.step(one)\napp.step(one)\n"
    )
    answer = give("run", *arguments)
    assert message in answer.err
    assert answer.code == code
    assert answer.err.startswith("aeterna: ")
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_debug_shows_the_traceback_and_keeps_the_exit_code(place):
    """And the message after it; how the command line came to the command is left out."""
    answer = give("run", "jobs:nothing", "--debug")
    assert answer.code == 4
    assert answer.err.startswith("Traceback")
    assert "in load_workflow" in answer.err
    assert "cli/main.py" not in answer.err
    assert answer.err.splitlines()[-1].startswith("aeterna: module jobs has no workflow 'nothing'")


def test_a_file_named_like_a_module_in_use_is_refused(cli, place):
    (place / "json.py").write_text("")
    answer = cli("run", "json.py:total")
    assert (answer.code, "another module 'json' in use" in answer.err) == (2, True)


def test_a_store_in_use_is_refused_and_says_who_uses_it(place):
    owner = start("run", "jobs:waits", place / "out", "--id", "w")
    assert owner.stdout.readline() == "waiting\n"
    answer = give("run", "jobs:total", "1")
    owner.send_signal(signal.SIGINT)
    finish(owner)
    assert answer.code == 3
    assert f"pid {owner.pid}" in answer.err


def test_ctrl_c_says_how_the_run_goes_on(place):
    """The run is where it was, and the command that is printed goes on with it."""
    process = start("run", "jobs:waits", place / "out", "--store", "here.db")
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    assert stopped.code == 130
    assert "nothing recorded is lost" in stopped.err
    command = stopped.err.strip().splitlines()[-1]
    run_id = command.split("--id ")[1].split()[0]
    assert command.strip().startswith(f"aeterna run jobs:waits {place / 'out'} --id {run_id}")
    status = give("status", run_id, "--store", "here.db", "--json").json
    assert status["state"] == "RUNNING"


def test_ctrl_c_of_a_run_in_memory_says_that_it_is_gone(place):
    process = start("run", "jobs:waits", place / "out", "--persistence", "memory")
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    assert (stopped.code, "kept in memory only" in stopped.err) == (130, True)


def test_a_killed_run_goes_on_with_the_same_command(place):
    """The second process may have to say "started" again: the kill may have come before that was recorded."""
    arguments = ("run", "jobs:many", "300", "--id", "m")
    process = start(*arguments)
    assert process.stdout.readline() == "started\n"
    process.kill()
    finish(process)
    answer = give(*arguments)
    assert (answer.code, answer.out.removeprefix("started\n")) == (0, "300\n")
