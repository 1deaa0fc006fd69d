"""Which store a command is about."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli.conftest import leave_pending


def test_the_only_store_here_is_taken(cli, place):
    (place / ".aeterna").mkdir()
    asyncio.run(leave_pending(place / ".aeterna" / "a.db", "p"))
    assert cli("status", "p").code == 0


def test_several_stores_are_listed(cli, place):
    (place / ".aeterna").mkdir()
    for name in ("a", "b"):
        asyncio.run(leave_pending(place / ".aeterna" / f"{name}.db", name))
    answer = cli("workflow", "list")
    assert answer.code == 2
    assert answer.err.endswith("choose one of them with --store: .aeterna/a.db, .aeterna/b.db\n")
    assert cli("workflow", "list", "--store", ".aeterna/b.db", "--json").json["runs"][0]["id"] == "b"


def test_without_a_store_it_is_said_how_one_comes_to_be(cli, place):
    answer = cli("workflow", "list")
    assert answer.code == 3
    assert f"there is no store in {place}/.aeterna" in answer.err
    assert "A store comes to be when an App is first used there" in answer.err


@pytest.mark.parametrize("given", ["s.db", "./s.db", "sqlite:///s.db", "{place}/s.db", "sqlite:////{place}/s.db"])
def test_a_store_is_named_by_path_or_url(cli, place, monkeypatch, given):
    asyncio.run(leave_pending(place / "s.db", "p"))
    named = given.format(place=place)
    assert cli("status", "p", "--store", named).code == 0
    monkeypatch.setenv("AETERNA_STORE", named)
    assert cli("status", "p").code == 0


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("nowhere.db", 3, "there is no store at nowhere.db: check the path"),
        ("memory:", 2, "lives inside one program"),
        ("postgres://x/y", 2, "is no store: use a path or sqlite:///PATH"),
        ("sqlite:///", 2, "is no store"),
        ("text.db", 3, "text.db"),
    ],
)
def test_a_store_that_is_none_is_refused(cli, place, given, code, message):
    (place / "text.db").write_text("this is no database, whatever its name says\n" * 100)
    answer = cli("workflow", "list", "--store", given)
    assert message in answer.err
    assert answer.code == code


def test_a_store_of_a_newer_release_is_refused(cli, place):
    import sqlite3

    asyncio.run(leave_pending(place / "s.db", "p"))
    with sqlite3.connect(place / "s.db") as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    answer = cli("workflow", "list", "--store", "s.db")
    assert (answer.code, "newer than" in answer.err) == (3, True)
