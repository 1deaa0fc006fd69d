"""``aeterna schedule ...``."""

from __future__ import annotations

import pytest

from tests.cli.conftest import finish, give, start

STORE = ("--store", "shop.db")


def test_a_schedule_lives_without_a_program(cli, place):
    times = ("--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--every", "6h", "--jitter", "30s")
    put = cli(
        "schedule", "put", "nightly", "total", *times, "--args", "[1]", "--catch-up", "2h", "--note", "why", *STORE
    )
    assert put.code == 0, put.err
    assert "'30 2 * * *' Europe/Berlin, every 6 h" in put.out
    shown = cli("schedule", "show", "nightly", "--coming", 3, *STORE, "--json").json
    assert (shown["id"], len(shown["coming_us"]), shown["spec"]["catch_up_us"]) == ("nightly", 3, 7_200_000_000)
    text = cli("schedule", "show", "nightly", *STORE).out
    assert "note      why" in text
    assert "jitter    30 s" in text
    listed = cli("schedule", "list", *STORE).out.splitlines()
    assert listed[1].startswith("nightly")
    assert cli("schedule", "pause", "nightly", *STORE).code == 0
    assert cli("schedule", "list", *STORE).out.splitlines()[1].endswith("paused")
    assert cli("schedule", "resume", "nightly", *STORE).code == 0
    run = cli("schedule", "trigger", "nightly", *STORE).out.strip()
    assert cli("status", run, *STORE, "--json").json["state"] == "PENDING"
    assert cli("schedule", "trigger", "nightly", *STORE, "--json").json["id"] == "nightly"
    begun = cli("schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-02", *STORE)
    assert begun.out.startswith("began nightly~2026-01-01T00:00:00Z~2026-01-02T00:00:00Z")
    both = cli("schedule", "list", *STORE, "--json").json["schedules"]
    assert both[0]["id"] == "nightly"
    again = ("schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-02", "--overlap", "allow_all")
    assert cli(*again, *STORE, "--json").json["id"] == "nightly"
    assert cli("schedule", "delete", "nightly", *STORE).code == 0
    assert cli("schedule", "delete", "nightly", *STORE).code != 0


def test_a_schedule_starts_runs_in_a_program_that_runs(place):
    program = start("run", "jobs:waits", place / "out", "--id", "w")
    assert program.stdout.readline() == "waiting\n"
    put = give("schedule", "put", "often", "echo", "--every", "50ms", "--overlap", "allow_all", "--args", '["hello"]')
    assert put.code == 0, put.err
    for _ in range(100):
        runs = give("workflow", "list", "--type", "echo", "--state", "COMPLETED", "--json").json["runs"]
        if len(runs) >= 2:
            break
    assert all(run["id"].startswith("often@") for run in runs)
    assert give("status", runs[0]["id"], "--json").json["result"] == "hello"
    program.kill()
    finish(program)


def test_an_empty_store_has_no_schedules(cli, place):
    assert cli("queue", "put", "gpu", *STORE).code == 0
    assert "there are no schedules" in cli("schedule", "list", *STORE).err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cron", "61 * * * *"),
        ("--every", "1h", "--time-zone", "Mars/Olympus"),
        ("--every", "soon"),
        ("--every", "1h", "--args", "{}"),
        ("--every", "1h", "--kwargs", "[]"),
        ("--every", "1h", "--args", "nonsense"),
        ("--every", "1h", "--start", "tomorrow"),
        (),
    ],
)
def test_a_schedule_that_means_nothing_is_refused(cli, place, arguments):
    refused = cli("schedule", "put", "s", "total", *arguments, *STORE)
    assert refused.code != 0
    assert refused.err
