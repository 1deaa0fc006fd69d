"""Several namespaces in one SQLite file, under one lock and one writing connection, know nothing of each other."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from aeterna.durable.stores.contract import Created, FencedOff, QueueRow, ScheduleRow, TokenRow
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.stores.sqlite.store import SqliteNamespaces, SqliteStore
from aeterna.kernel.errors import StoreError, StoreLockedError
from tests.stores.differential import Seen, Side
from tests.stores.differential_script import Script
from tests.stores.samples import add_run, append, create, ids

SEEDS = 40
OPERATIONS = 120
LEASE_US = 1_000


async def test_the_place_is_taken_as_a_whole_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    place = SqliteNamespaces(path)
    await place.open()
    await place.open()
    assert await place.names() == []
    other = SqliteStore(path, "orders")
    with pytest.raises(StoreLockedError):
        await other.open()
    one, two = place.store("orders"), place.store("bills")
    assert place.store("orders") is one
    await one.open()
    await two.open()
    assert await place.names() == ["bills", "orders"]
    await one.close()
    with pytest.raises(StoreError, match="not open"):
        await one.count_runs()
    await add_run(two, "A")
    await one.open()
    await place.close()
    await place.close()
    with pytest.raises(StoreError, match="not open"):
        await two.count_runs()
    await other.open()
    await other.close()


async def test_a_namespace_that_is_left_open_does_not_keep_the_file_from_another_process(tmp_path: Path) -> None:
    place = SqliteNamespaces(tmp_path / "store.db")
    await place.store("orders").open()
    await place.store("orders").close()
    alone = SqliteStore(tmp_path / "store.db", "orders")
    await alone.open()
    await alone.close()


async def test_runs_sessions_and_registries_are_each_namespaces_own(tmp_path: Path) -> None:
    place = SqliteNamespaces(tmp_path / "store.db")
    await place.open()
    one, two = place.store("orders"), place.store("bills")
    for store in (one, two):
        await store.open()
    ours = await one.open_session(0, "host", 1, lease_us=LEASE_US)
    theirs = await two.open_session(0, "host", 1, lease_us=LEASE_US)
    key = await add_run(one, "A", ours)
    # A session and a key that are somebody else's are none at all.
    assert await two.commit([append(key, 1)]) == [FencedOff()]
    assert await two.renew_sessions([ours], 9_000) == []
    assert await two.claim(ours, 10, 9) == []
    await two.close_session(ours, 5, died=True)
    assert await two.release_runs(ours, [], at_us=5) == 0
    assert await two.unread(ours) == []
    (outcome,) = await two.commit([create("A", ours)])
    assert isinstance(outcome, Created)
    assert [row.number for row in await one.list_sessions()] == [ours]
    assert [row.number for row in await two.list_sessions()] == [theirs]
    assert await two.expire_sessions(LEASE_US) == [theirs]
    assert [row.runs for row in await one.list_sessions()] == [1]
    assert ids(await two.claim(await two.open_session(0, "host", 1, lease_us=LEASE_US), 10, 9)) == ["A"]
    await one.open_session(0, "host", 2)
    assert len(await two.list_sessions()) == 1
    await one.put_queue(QueueRow("q", concurrency=1))
    await one.put_schedule(ScheduleRow("s", "{}", 5))
    assert (await two.list_queues(), await two.list_schedules(), await two.next_schedule()) == ([], [], None)
    token = TokenRow(b"t", "*", "admin", 1)
    await one.put_token(token)
    assert await two.list_tokens() == [token]
    await place.close()


async def test_two_namespaces_answer_as_two_memory_stores_do(tmp_path: Path) -> None:
    """Operations on both in turn, against two stores that share nothing but their tokens."""
    seen = Seen()
    for seed in range(SEEDS):
        places = MemoryNamespaces(), SqliteNamespaces(tmp_path / f"{seed}.db", synchronous="normal")
        for place in places:
            await place.open()
        pairs = []
        for number, name in enumerate(("orders", "bills")):
            oracle, other = (Side(place.store(name), seed) for place in places)
            for side in (oracle, other):
                await side.store.open()
                side.store.set_crash_limit(Script.crash_limit)
            pairs.append((Script(seed * 2 + number, is_shared=False), oracle, other))
        rng = random.Random(seed)
        for number in range(OPERATIONS):
            script, oracle, other = rng.choice(pairs)
            operation = await script.next(oracle.store)
            expected, answer = await oracle.do(operation), await other.do(operation)
            assert answer == expected, f"seed {seed}, operation {number}: {operation}"
            seen.count(operation, expected)
            script.learn(operation, expected)
        for _, oracle, other in pairs:
            assert await other.snapshot() == await oracle.snapshot(), f"seed {seed}: the final snapshots differ"
        for place in places:
            await place.close()
    assert seen.outcomes["Appended"] > SEEDS, seen.outcomes


async def test_what_a_session_without_a_lease_left_behind_is_claimable_for_a_server(tmp_path: Path) -> None:
    """A program that held the file alone was killed; then a server takes the file. Workers of a server that was killed
    may come back to their sessions."""
    path = tmp_path / "store.db"
    alone = SqliteStore(path, "orders")
    await alone.open()
    session = await alone.open_session(1, "host", 1)
    await add_run(alone, "A", session)
    worker = await alone.open_session(2, "host", 2, lease_us=LEASE_US)
    await add_run(alone, "B", worker)
    await alone.close()
    place = SqliteNamespaces(path)
    await place.open()
    store = place.store("orders")
    await store.open()
    assert [row.number for row in await store.list_sessions()] == [worker]
    assert await store.renew_sessions([session, worker], 10**6) == [worker]
    other = await store.open_session(3, "host", 3, lease_us=LEASE_US)
    assert ids(await store.claim(other, 10, 9)) == ["A"]
    row = await store.get_run("B")
    assert row is not None
    assert msgspec.structs.asdict(row)["owner"] == worker
    await place.close()
