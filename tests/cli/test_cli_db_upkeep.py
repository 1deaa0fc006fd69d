"""``aeterna db migrate | verify | vacuum | export``, on files and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3

import pytest

from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.durable.stores.sqlite.statements import load_migrations
from tests.cli.conftest import finish, give, give_on_a_terminal, shown_on_a_terminal, start
from tests.stores.kept import Kept
from tests.stores.postgres_server import PostgresServer

NEWEST = load_migrations()[-1][0]
BALLAST = "CREATE TABLE ballast AS SELECT randomblob(3000000) AS x; DROP TABLE ballast"


@pytest.fixture
def lived_in(place):
    kept = Kept.file(place / "s.db")
    asyncio.run(kept.live())
    return kept


@pytest.fixture(scope="module")
def postgres_url():
    with PostgresServer() as server:
        yield f"{server.url}?schema=kept"


def damage(place, sql: str) -> None:
    with sqlite3.connect(place / "s.db") as db:
        db.executescript(sql)


def test_migrating_says_from_where_to_where(cli, place):
    _, script = load_migrations()[0]
    damage(place, f"{script}; PRAGMA application_id = {0x4165746E}; PRAGMA user_version = 1")
    printed = cli("db", "migrate", "--db", "s.db", "--print-sql")
    assert (printed.code, "ALTER TABLE runs ADD COLUMN queue" in printed.out) == (0, True)
    told = cli("db", "migrate", "--db", "s.db", "--print-sql", "--json").json
    assert (told["from"], told["to"], told["sql"] in printed.out) == (1, NEWEST, True)
    answer = cli("db", "migrate", "--db", "s.db")
    assert answer.out == f"sqlite at s.db: migrated from version 1 to version {NEWEST}\n"
    assert "the newest, nothing to do" in cli("db", "migrate", "--db", "s.db").out
    assert cli("db", "migrate", "--store", "s.db", "--json").json["from"] == NEWEST
    assert "needs no migration" in cli("db", "migrate", "--db", "s.db", "--print-sql").err


def test_verifying_tells_by_its_exit_code_and_names_run_and_event(cli, place, lived_in):
    answer = cli("db", "verify", "--db", "s.db")
    assert (answer.code, "nothing is wrong with 5 runs" in answer.out) == (0, True)
    damage(place, "UPDATE runs SET state = 'FAILED' WHERE id = 'sum'; DELETE FROM segments WHERE run = 2 AND seq = 0")
    answer = cli("db", "verify", "--db", "s.db", "--quick")
    assert answer.code == 1
    assert "run 'sum' of app 'shop', event " in answer.out
    assert ": its row says that state is FAILED, its history says COMPLETED" in answer.out
    assert ", event 0: events 0 to " in answer.out
    assert "restore a backup" in answer.err
    told = cli("db", "verify", "--db", "s.db", "--json")
    assert (told.code, told.json["ok"], told.json["runs"]) == (1, False, 5)
    assert {"sum"} < {finding["run"] for finding in told.json["findings"]}
    assert len(told.json["findings"]) == len(answer.out.splitlines())
    assert cli("db", "verify", "--db", "none.db").code == 3


def test_vacuuming_shows_what_it_gave_back(cli, place, lived_in):
    damage(place, BALLAST)
    told = cli("db", "vacuum", "--db", "s.db", "--json").json
    assert told["bytes_before"] > 3_000_000 > told["bytes_after"]
    assert "kB before, " in cli("db", "vacuum", "--db", "s.db").out


def test_an_owner_that_can_be_asked_vacuums_itself(place):
    program = start("run", "jobs:waits", "note.txt", "--id", "w", "--store", "s.db")
    assert program.stdout.readline() == "waiting\n"
    damage(place, BALLAST)
    told = give("db", "vacuum", "--db", "s.db", "--json").json
    assert told["bytes_before"] > 3_000_000 > told["bytes_after"]
    assert give("cancel", "w", "--store", "s.db").code == 0
    finish(program)
    assert give("db", "verify", "--db", "s.db").code == 0


async def held(path, work):
    """Do ``work`` in a thread while an engine without a socket has the file."""
    store = SqliteStore(path)
    await store.open()
    try:
        return await asyncio.to_thread(work)
    finally:
        await store.close()


@pytest.mark.parametrize("command", ["vacuum", "migrate"])
def test_an_owner_that_cannot_be_asked_is_named(cli, place, lived_in, command):
    answer = asyncio.run(held(place / "s.db", lambda: cli("db", command, "--db", "s.db")))
    assert (answer.code, f"pid {os.getpid()} since" in answer.err) == (3, True)


def test_exports_go_to_a_new_file_or_to_standard_output(cli, place, lived_in):
    answer = cli(
        "db", "export", "--db", "s.db", "--state", "completed", "--type", "total", "--run", "sum", "--app", "shop"
    )
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [line["run"] for line in lines if line["kind"] == "run"] == ["sum"]
    assert answer.err.startswith("exported 1 runs with ")
    told = cli("db", "export", "all.jsonl", "--db", "s.db", "--json").json
    text = (place / "all.jsonl").read_text()
    assert (told["runs"], told["damaged"]) == (5, 0)
    assert json.loads(text.splitlines()[-1]) == {"kind": "end", "runs": 5, "events": told["events"], "damaged": 0}
    again = cli("db", "export", "all.jsonl", "--db", "s.db")
    assert (again.code, "never overwrites" in again.err) == (2, True)
    assert (place / "all.jsonl").read_text() == text
    assert cli("db", "export", "--db", "s.db", "--json").code == 2
    assert cli("db", "export", "no/such/place", "--db", "s.db").code == 2
    assert cli("db", "export", "none.jsonl", "--db", "none.db").code == 3
    assert not (place / "none.jsonl").exists()


def test_an_export_of_a_damaged_store_says_so(cli, place, lived_in):
    damage(place, "UPDATE segments SET body = x'01ff' WHERE run = 1 AND seq = 0")
    answer = cli("db", "export", "all.jsonl", "--db", "s.db")
    assert (answer.code, "1 pieces of histories cannot be read" in answer.err) == (1, True)


def test_all_of_it_works_on_postgresql(cli, place, postgres_url, monkeypatch):
    monkeypatch.setenv("AETERNA_STORE", postgres_url)
    assert "CREATE TABLE kept.runs" in cli("db", "migrate", "--print-sql").out
    assert cli("db", "verify").code == 3
    assert cli("db", "migrate", "--json").json["from"] == 0
    asyncio.run(Kept.postgres(postgres_url).live())
    assert "nothing is wrong with 5 runs" in cli("db", "verify").out
    asyncio.run(Kept.postgres(postgres_url).damage("UPDATE {runs} SET state = 'FAILED' WHERE id = 'sum'"))
    assert cli("db", "verify", "--db", postgres_url, "--json").json["findings"][0]["run"] == "sum"
    assert cli("db", "export", "all.jsonl", "--json").json["runs"] == 5
    told = cli("db", "vacuum", "--json").json
    assert told["bytes_before"] > 0
    assert "password" not in told["store"]
    assert "nothing to do" in cli("db", "migrate").out


def test_on_a_terminal_progress_is_shown(place, lived_in):
    for arguments, word in (
        (("verify",), b"verifying"),
        (("export", "all.jsonl"), b"exporting"),
        (("vacuum",), b"vacuuming"),
        (("migrate",), b"migrating"),
    ):
        assert word in shown_on_a_terminal("db", *arguments, "--db", "s.db")


def test_findings_go_to_standard_output_whatever_is_shown_on_the_terminal(place, lived_in):
    damage(place, "UPDATE runs SET state = 'FAILED' WHERE id = 'sum'")
    answer, shown = give_on_a_terminal("db", "verify", "--db", "s.db")
    assert answer.code == 1
    assert answer.out.startswith("run 'sum' of app 'shop', event ")
    assert b"of app" not in shown
