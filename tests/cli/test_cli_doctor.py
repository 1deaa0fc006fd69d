"""``aeterna doctor``: what it finds, and what it says to do."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import warnings
from pathlib import Path

import pytest

from aeterna.cli.diagnosis import Verdict, machine, place, store
from aeterna.durable.stores.sqlite import SqliteStore
from tests.cli.conftest import finish, give, leave_pending, start


def _findings(answer):
    return {finding["what"]: finding for finding in answer.json["findings"]}


def test_all_is_well_without_a_store(cli, place):
    answer = cli("doctor")
    assert answer.code == 0
    assert f"none in {place}/.aeterna yet" in answer.out
    assert all(line.startswith(("ok", "warn", " ")) for line in answer.out.splitlines())


def test_a_sound_store_is_said_to_be_sound(cli, place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    answer = cli("doctor", "--store", "s.db", "--json")
    found = _findings(answer)
    assert (answer.code, answer.json["ok"]) == (0, True)
    assert found["integrity"]["found"] == "everything can be read"
    assert found["owner"]["found"] == "none: no program executes its runs now"
    assert found["runs"]["found"] == "none is stuck"
    assert "version 2" in found["store"]["found"]
    assert "integrity" not in _findings(cli("doctor", "--store", "s.db", "--json", "--quick"))


def test_a_directory_that_cannot_be_written_fails_with_advice(cli, place):
    """Nobody can write there, not even root."""
    answer = cli("doctor", "--store", "/proc/sys/s.db")
    assert answer.code == 1
    assert "fail  directory" in answer.out
    assert "This user must be able to write /proc/sys" in answer.out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("notes.txt", "notes.txt is not an Aeterna store but a file of another kind"),
        ("notes.txt/s.db", "notes.txt is a file, not a directory"),
        (".", "is not an Aeterna store but a directory"),
    ],
)
def test_what_cannot_be_a_store_fails_as_it_does_for_a_program(cli, place, given, message):
    (place / "notes.txt").write_text("hello")
    answer = cli("doctor", "--store", given)
    assert (answer.code, message in answer.out, "damaged" in answer.out) == (1, True, False)


def test_an_empty_file_is_no_store_yet(cli, place):
    (place / "s.db").touch()
    answer = cli("doctor", "--store", "s.db")
    assert (answer.code, "none at s.db yet" in answer.out) == (0, True)


def test_a_store_that_this_user_cannot_write_fails(place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    (place / "s.db").chmod(0o444)
    for directory in (place, *place.parents[:-2]):
        directory.chmod(directory.stat().st_mode | 0o055)
    in_child_as_nobody(lambda: store.writable(place / "s.db", "s.db").verdict is Verdict.FAIL)
    (place / "s.db").chmod(0o644)
    assert store.writable(place / "s.db", "s.db").verdict is Verdict.OK


def in_child_as_nobody(holds):
    """What is to hold for a user whom file modes bind: root may write everything."""

    with warnings.catch_warnings():
        # Newer Pythons warn of threads that the child lacks; it uses none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.getuid() == 0:
                os.setuid(65_534)
            status = int(not holds())
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_advice_about_speed_names_the_package_of_that_name():
    """Not an extra of a package that no index has."""
    assert "pip install 'aeterna" not in Path(machine.__file__).read_text()


def test_a_damaged_store_fails(cli, place):
    (place / "s.db").write_bytes(b"SQLite format 3\0" + b"\7" * 8000)
    found = _findings(cli("doctor", "--store", "s.db", "--json"))
    assert found["store"]["verdict"] == "fail"


def test_damage_inside_a_history_fails(cli, place):
    import sqlite3

    asyncio.run(leave_pending(place / "s.db", "p"))
    with sqlite3.connect(place / "s.db") as db:
        db.execute("UPDATE segments SET body = x'01ff'")
    db.close()
    answer = cli("doctor", "--store", "s.db", "--json")
    assert (answer.code, _findings(answer)["integrity"]["verdict"]) == (1, "fail")
    check = cli("db", "check", "--store", "s.db")
    assert (check.code, "run 'p' of app 'shop', event 0" in check.out) == (1, True)
    assert cli("workflow", "history", "p", "--store", "s.db").code == 3


def test_several_stores_must_be_told_apart(cli, place):
    (place / ".aeterna").mkdir()
    for name in ("a", "b"):
        asyncio.run(leave_pending(place / ".aeterna" / f"{name}.db", name))
    assert cli("doctor").code == 1


def test_the_program_that_runs_is_named(place):
    program = start("run", "jobs:waits", place / "out", "--id", "w")
    assert program.stdout.readline() == "waiting\n"
    found = _findings(give("doctor", "--json"))
    program.send_signal(signal.SIGINT)
    finish(program)
    assert found["owner"]["found"] == f"process {program.pid} executes its runs and answers"


def test_a_lock_whose_holder_does_not_answer_is_a_warning(place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    with (place / "s.db.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = store.owner(place / "s.db")
    assert (found.verdict, "which does not answer" in found.found) == (Verdict.WARN, True)


def test_a_stuck_run_is_shown_with_its_note(cli, place, jobs):
    """Its workflow is not registered any more: it waits for code that fits it."""
    asyncio.run(_leave_running(place / ".aeterna" / "shop.db"))
    cli("run", f"{jobs}:total", 1)
    found = _findings(cli("doctor", "--json"))["runs"]
    assert found["verdict"] == "warn"
    assert found["found"].startswith("1 stuck: lost: workflow 'gone' is not registered in this process")


async def _leave_running(path):
    from aeterna.durable.core.events import RunCreated, RunStarted
    from aeterna.durable.core.states import Detail, State
    from aeterna.durable.stores.contract import CreateRun

    opened = SqliteStore(path, "shop")
    await opened.open()
    events = (RunCreated(1, "gone", "1", b"j[[],{}]"), RunStarted(1, 1))
    await opened.commit([CreateRun("lost", "gone", "1", State.RUNNING, Detail.LEASED, None, events)])
    await opened.close()


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (machine.python((3, 10, 1)), "fail"),
        (machine.python((3, 11, 0)), "ok"),
        (machine.libraries("3.40.0", "3.40.0"), "fail"),
        (machine.libraries("3.51.3.0", "3.51.3"), "ok"),
        (place.file_system("nfs4"), "fail"),
        (place.file_system("tmpfs"), "warn"),
        (place.file_system("ext4"), "ok"),
        (place.room(10_000), "fail"),
        (place.room(500_000_000), "warn"),
        (place.room(5_000_000_000), "ok"),
        (place.sync_time(100_000), "warn"),
        (place.sync_time(400), "ok"),
    ],
)
def test_each_finding_has_its_verdict_and_advice(finding, verdict):
    assert finding.verdict == verdict
    assert bool(finding.advice) == (verdict != "ok")
