"""``aeterna queue ...`` and ``aeterna workflow why``: while the program runs, and while it does not."""

from __future__ import annotations

import asyncio

import pytest

from aeterna.cli.quantities import duration_us, limit, rate, time_us
from tests.cli.conftest import finish, give, leave_pending, start

STORE = ("--store", "shop.db")


def test_a_queue_is_put_shown_paused_and_deleted_without_a_program(cli, place):
    put = cli("queue", "put", "gpu", "--concurrency", "4", "--rate", "10/min", "--burst", 2, *STORE)
    assert put.code == 0
    assert "runs at a time  4" in put.out
    assert "10 per 1 min, 2 at once" in put.out
    changed = cli("queue", "put", "gpu", "--rate", "none", "--burst", "none", *STORE, "--json").json
    assert (changed["concurrency"], changed["rate"], changed["burst"]) == (4, None, 1)
    assert "paused queue 'gpu'" in cli("queue", "pause", "gpu", *STORE).out
    listed = cli("queue", "list", *STORE)
    assert listed.out.splitlines()[1].split() == ["gpu", "0", "0", "4", "-", "-", "paused"]
    assert cli("queue", "resume", "gpu", *STORE, "--json").json == {"name": "gpu", "is_paused": False}
    (queue,) = cli("queue", "list", *STORE, "--json").json["queues"]
    assert (queue["name"], queue["is_paused"]) == ("gpu", False)
    assert cli("queue", "delete", "gpu", *STORE).code == 0
    assert "no queue has limits" in cli("queue", "list", *STORE).err
    missing = cli("queue", "delete", "gpu", *STORE)
    assert missing.code != 0
    assert "queue 'gpu' has no limits" in missing.err


def test_a_queue_is_changed_while_the_program_runs(place):
    program = start("run", "jobs:waits", place / "out", "--id", "w")
    assert program.stdout.readline() == "waiting\n"
    assert give("queue", "put", "gpu", "--concurrency", "1", "--json").json["concurrency"] == 1
    assert "gpu" in give("queue", "list").out
    why = give("workflow", "why", "w")
    assert why.code == 0
    assert "it sleeps until" in why.out
    assert give("workflow", "why", "w", "--json").json["run_id"] == "w"
    program.kill()
    finish(program)
    assert "no worker is connected" in give("workflow", "why", "w").out


def test_a_run_that_does_not_start_is_explained(cli, place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    answer = cli("workflow", "why", "p", "--store", "s.db")
    assert answer.out == ("run p: no worker is connected\n  unblocked by: start a worker that has workflow 'total'\n")
    assert cli("workflow", "why", "x", "--store", "s.db").code == 4


def test_a_store_with_several_apps_asks_which_one(cli, place):
    from aeterna.durable.stores.sqlite import SqliteStore
    from tests.stores.samples import create

    async def fill(app: str) -> None:
        store = SqliteStore(place / "shop.db", app)
        await store.open()
        await store.commit([create("A")])
        await store.close()

    for app in ("one", "two"):
        asyncio.run(fill(app))
    refused = cli("queue", "list", *STORE)
    assert refused.code != 0
    assert "holds the apps one, two" in refused.err
    assert cli("queue", "list", *STORE, "--app", "one").code == 0


@pytest.mark.parametrize(
    "arguments", [("--concurrency", "0"), ("--rate", "10"), ("--rate", "none/s"), ("--rate", "x/s")]
)
def test_limits_that_mean_nothing_are_refused(cli, place, arguments):
    assert cli("queue", "put", "gpu", *arguments, *STORE).code == 2
    assert not (place / "shop.db").exists()


def test_quantities():
    assert duration_us("1m30s") == 90_000_000
    assert (limit("none"), limit("5")) == (None, 5)
    assert [rate(text) for text in ("none", "10/s", "100/min", "5/30s")] == [
        None,
        (10, 1_000_000),
        (100, 60_000_000),
        (5, 30_000_000),
    ]
    assert time_us("1970-01-01T00:00:01Z") == time_us("1970-01-01 00:00:01") == 1_000_000
    assert time_us("1970-01-01T01:00:00+01:00") == 0
