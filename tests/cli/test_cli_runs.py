"""``aeterna workflow list | status | history | delete``."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess

import pytest

from aeterna.cli import runs
from aeterna.durable.core.codec import JSON_TAG
from aeterna.durable.core.states import FINAL, State
from aeterna.durable.operations import event_records
from aeterna.durable.stores.sqlite import SqliteStore
from tests.cli.conftest import finish, give, leave_pending, start


@pytest.fixture
def three(cli, jobs, place):
    """Three runs: two completed, one failed."""
    for arguments in (("total", 1, "--id", "t1"), ("fails", "--id", "f1"), ("total", 2, "--id", "t2")):
        cli("run", f"{jobs}:{arguments[0]}", *arguments[1:])
    return place / ".aeterna" / "shop.db"


def test_what_is_repeated_here_is_the_same_there():
    """The reading commands have no time to import these."""
    assert set(runs.FINAL) == {state.value for state in FINAL}
    assert set(runs.STATES) == {state.value for state in State}
    assert event_records.JSON_TAG == JSON_TAG


def test_list_shows_the_newest_first(cli, three):
    lines = cli("workflow", "list").out.splitlines()
    assert lines[0].split() == ["ID", "WORKFLOW", "STATE", "DETAIL", "CREATED", "DURATION", "EVENTS"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["t2", "total", "COMPLETED"],
        ["f1", "fails", "FAILED"],
        ["t1", "total", "COMPLETED"],
    ]


def test_list_as_json_has_every_field(cli, three):
    document = cli("workflow", "list", "--json").json
    assert document["next"] is None
    run = document["runs"][0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", run.pop("created_at"))
    assert run.pop("updated_at") == run.pop("finished_at")
    assert run.pop("duration_ms") > 0
    assert run == {
        "id": "t2",
        "app": "shop",
        "workflow": "total",
        "version": "1",
        "state": "COMPLETED",
        "detail": "",
        "wake_at": None,
        "events": 4,
        "parent": None,
        "note": "",
    }


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--type", "total"), ["t2", "t1"]),
        (("--state", "failed"), ["f1"]),
        (("--state", "FAILED", "--state", "RUNNING"), ["f1"]),
        (("--limit", "1"), ["t2"]),
        (("--type", "nothing"), []),
        (("--app", "nothing"), []),
        (("--app", "shop"), ["t2", "f1", "t1"]),
    ],
)
def test_list_can_be_narrowed(cli, three, options, ids):
    assert [run["id"] for run in cli("workflow", "list", "--json", *options).json["runs"]] == ids


def test_list_goes_on_where_a_page_ended(cli, three):
    first = cli("workflow", "list", "--limit", 2, "--json").json
    rest = cli("workflow", "list", "--before", first["next"], "--json").json
    assert [run["id"] for run in rest["runs"]] == ["t1"]
    assert f"add --before {first['next']}" in cli("workflow", "list", "--limit", 2).err
    assert "no runs match" in cli("workflow", "list", "--type", "x").err


def test_status_shows_the_result(cli, three):
    text = cli("status", "t1").out
    assert "state     COMPLETED" in text
    assert 'result    {"total": 2}' in text
    record = cli("workflow", "status", "t1", "--json").json
    assert (record["result"], record["error"]) == ({"total": 2}, None)


def test_status_shows_the_error(cli, three):
    assert "error     ValueError: no stock" in cli("status", "f1").out
    error = cli("status", "f1", "--json").json["error"]
    assert (error["type"], error["message"], "Traceback" in error["traceback"]) == ("ValueError", "no stock", True)


def test_history_shows_every_event(cli, three):
    lines = cli("workflow", "history", "f1").out.splitlines()
    assert lines[0].split() == ["#", "TIME", "OFFSET", "EVENT", "KEY", "VALUE"]
    assert [re.split(r"\s{2,}", line)[3] for line in lines[1:]] == [
        "RunCreated",
        "RunStarted",
        "StepRetrying",
        "StepFailed",
        "RunFailed",
    ]
    assert "fails()" in lines[1]
    assert "ValueError: no stock (attempt 2)" in lines[4]


def test_history_in_full_has_the_tracebacks(cli, three):
    short, full = cli("workflow", "history", "f1").out, cli("workflow", "history", "f1", "--full").out
    assert "Traceback" not in short
    assert full.count("Traceback") >= 3


def test_history_as_json_has_every_field(cli, three):
    document = cli("workflow", "history", "t1", "--json").json
    assert document["run"]["id"] == "t1"
    created, started, step, end = document["events"]
    assert (created["event"], created["arguments"]) == ("RunCreated", [[1], {}])
    assert (started["number"], started["event"]) == (1, "RunStarted")
    assert (step["name"], step["path"], step["occurrence"], step["result"]) == ("add", "0", 1, 2)
    assert (end["event"], end["result"]) == ("RunCompleted", {"total": 2})


def test_history_names_timers_children_and_what_was_given_up(cli, place, monkeypatch):
    """Every kind of event has a line of its own."""
    (place / "all_kinds.py").write_text(
        "import asyncio\nfrom aeterna import App, Context\napp = App('kinds')\n"
        "@app.workflow\nasync def inner(ctx: Context): return 1\n"
        "@app.workflow\nasync def broken(ctx: Context): raise KeyError('x')\n"
        "@app.workflow\nasync def outer(ctx: Context):\n"
        "    await ctx.child(inner)\n"
        "    try:\n        await ctx.child(broken)\n    except Exception: pass\n"
        "    try:\n        async with ctx.timeout(0):\n            await ctx.sleep(60)\n"
        "    except TimeoutError: pass\n    await asyncio.gather(ctx.sleep(0), ctx.sleep(0))\n"
    )
    assert cli("run", "all_kinds:outer", "--id", "o").code == 0
    text = cli("workflow", "history", "o").out
    for expected in ("ChildStarted", "ChildCompleted", "ChildFailed", "TimerStarted", "TimerFired", "WaitAbandoned"):
        assert expected in text
    assert "gave up the timer" in text
    assert "sleep @0.1" in text


def test_a_run_id_that_two_apps_have_must_be_told_apart(cli, place):
    async def add(app):
        from aeterna.durable.core.codec import encode
        from aeterna.durable.core.events import RunCreated
        from aeterna.durable.core.states import Detail
        from aeterna.durable.stores.contract import CreateRun

        store = SqliteStore(place / "s.db", app)
        await store.open()
        created = RunCreated(1, "w", "1", encode([[], {}], "x", 100))
        await store.commit([CreateRun("same", "w", "1", State.PENDING, Detail.QUEUED, None, (created,))])
        await store.close()

    asyncio.run(add("one"))
    asyncio.run(add("two"))
    answer = cli("status", "same", "--store", "s.db")
    assert (answer.code, "say which one with --app" in answer.err) == (2, True)
    assert cli("status", "same", "--store", "s.db", "--app", "one", "--json").json["app"] == "one"
    assert cli("cancel", "same", "--store", "s.db", "--app", "one").code == 0
    assert cli("status", "same", "--store", "s.db", "--app", "two", "--json").json["state"] == "PENDING"


def test_delete_takes_finished_runs_only(cli, three):
    asyncio.run(leave_pending(three, "open"))
    refused = cli("workflow", "delete", "t1", "open")
    assert (refused.code, "'open' (PENDING)" in refused.err) == (1, True)
    unknown = cli("workflow", "delete", "t1", "ff1")
    assert (unknown.code, "did you mean" in unknown.err) == (4, True)
    assert cli("workflow", "delete", "t1", "f1", "t1").out == "deleted 2 runs\n"
    assert [run["id"] for run in cli("workflow", "list", "--json").json["runs"]] == ["open", "t2"]


def test_delete_by_age_asks_unless_told(cli, three):
    """Where nobody can be asked it wants --yes; asked, only yes is yes."""
    assert cli("workflow", "delete", "--older-than", "1h", "--yes").out == "deleted 0 runs\n"
    refused = give("workflow", "delete", "--older-than", "0s", stdin=subprocess.DEVNULL)
    assert (refused.code, "say --yes" in refused.err) == (2, True)
    assert _answer_on_terminal("n\n").code == 1
    assert _answer_on_terminal("y\n").out == "deleted 3 runs\n"
    assert cli("workflow", "delete", "--older-than", "0s", "--yes", "--json").json == {"deleted": 0, "chosen": 0}


def _answer_on_terminal(answer):
    ours, theirs = pty.openpty()
    process = start("workflow", "delete", "--older-than", "0s", stdin=theirs)
    os.write(ours, answer.encode())
    said = finish(process)
    os.close(ours)
    os.close(theirs)
    assert "delete 3 finished runs" in said.err
    return said


@pytest.mark.parametrize(
    "arguments", [(), ("x", "--older-than", "1d"), ("--older-than", "soon"), ("--older-than", "5")]
)
def test_delete_says_what_it_wants(cli, three, arguments):
    answer = cli("workflow", "delete", *arguments)
    assert answer.code == 2
    assert answer.err.startswith("aeterna: ")


def test_delete_goes_through_the_program_that_runs(place):
    """Also more ids than one request holds."""
    ids = [f"{'long-name-' * 30}{number}" for number in range(120)]
    give("run", "jobs:total", 1, "--id", "t1")

    async def fill():
        from aeterna.durable.core.events import RunCancelled, RunCreated
        from aeterna.durable.core.states import Detail
        from aeterna.durable.stores.contract import CreateRun

        store = SqliteStore(place / ".aeterna" / "shop.db", "shop")
        await store.open()
        events = (RunCreated(1, "total", "1", b"j[[1],{}]"), RunCancelled(2))
        writes = [CreateRun(run_id, "total", "1", State.CANCELLED, Detail.NONE, None, events) for run_id in ids]
        await store.commit(writes)
        await store.close()

    asyncio.run(fill())
    program = start("run", "jobs:waits", place / "out", "--id", "w")
    assert program.stdout.readline() == "waiting\n"
    answer = give("workflow", "delete", "--older-than", "0s", "--yes", "--json")
    left = give("workflow", "list", "--json").json["runs"]
    program.send_signal(signal.SIGINT)
    finish(program)
    assert answer.json == {"deleted": 121, "chosen": 121}
    assert [run["id"] for run in left] == ["w"]
