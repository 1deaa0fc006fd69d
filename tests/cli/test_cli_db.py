"""``aeterna db backup | check``."""

from __future__ import annotations

import asyncio

from tests.cli.conftest import finish, give, leave_pending, shown_on_a_terminal, start


def test_a_backup_is_made_while_a_program_writes(place):
    """The copy is sound, opens as a store, and the program notices nothing."""
    program = start("run", "jobs:many", "2000", "--id", "m")
    assert program.stdout.readline() == "started\n"
    answers = [give("db", "backup", f"copy-{number}.db", "--json") for number in range(3)]
    ended = finish(program)
    assert (ended.code, ended.out) == (0, "2000\n")
    lengths = []
    for number, answer in enumerate(answers):
        assert answer.code == 0
        assert answer.json["bytes"] == (place / f"copy-{number}.db").stat().st_size
        assert give("db", "check", "--store", f"copy-{number}.db", "--json").json["ok"] is True
        events = give("workflow", "history", "m", "--store", f"copy-{number}.db", "--json").json["events"]
        lengths.append(len(events))
    assert lengths == sorted(lengths)
    assert lengths[0] >= 2


def test_a_backup_never_overwrites(cli, place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    (place / "there.db").write_text("mine")
    answer = cli("db", "backup", "there.db", "--store", "s.db")
    assert (answer.code, "it exists already" in answer.err) == (2, True)
    assert (place / "there.db").read_text() == "mine"
    assert cli("db", "backup", "no/such/place.db", "--store", "s.db").code == 2


def test_a_backup_says_what_it_did(cli, place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    answer = cli("db", "backup", "copy.db", "--store", "s.db")
    assert answer.out.startswith("copied s.db to copy.db: ")
    assert cli("status", "p", "--store", "copy.db").code == 0


def test_on_a_terminal_progress_is_shown(place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    for arguments, word in ((("db", "backup", "copy.db"), b"copying"), (("db", "check"), b"reading")):
        assert word in shown_on_a_terminal(*arguments, "--store", "s.db")


def test_a_sound_store_passes_the_check(cli, place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    assert cli("db", "check", "--store", "s.db").out == "s.db: nothing is wrong\n"


def test_a_backup_of_a_damaged_store_fails_and_leaves_no_copy(cli, place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    good = (place / "s.db").read_bytes()
    page = len(good) // 4_096 - 1
    (place / "s.db").write_bytes(good[: page * 4_096] + b"\xa5" * 4_096)
    answer = cli("db", "backup", "copy.db", "--store", "s.db")
    assert (answer.code, "the backup of s.db is damaged" in answer.err) == (3, True)
    assert not (place / "copy.db").exists()


def test_what_is_no_store_is_not_called_damaged(cli, place):
    (place / "notes.txt").write_text("hello")
    answer = cli("db", "check", "--store", "notes.txt")
    assert (answer.code, "is not an Aeterna store" in answer.err, "damaged" in answer.err) == (3, True, False)
