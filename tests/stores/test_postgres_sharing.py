"""What several processes do to one PostgreSQL at the same time. Each store here has connections of its own."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import Payload
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
    Exists,
    FencedOff,
    Head,
    MessageKind,
    Notice,
    NoticeKind,
    Post,
    Posted,
    QueueRow,
    RunRow,
)
from aeterna.durable.stores.postgres import PostgresNamespaces, PostgresStore
from tests.stores.samples import RUNNING, add_run, append, create, ids

LEASE_US = 10**12


async def opened(url: str, count: int) -> list[PostgresStore]:
    stores = [PostgresStore(url) for _ in range(count)]
    for store in stores:
        await store.open()
    return stores


async def test_stores_that_open_a_new_schema_at_once_make_it_once(postgres_url: str) -> None:
    stores = [PostgresStore(postgres_url, f"namespace {number % 3}") for number in range(8)]
    async with asyncio.TaskGroup() as group:
        for store in stores:
            group.create_task(store.open())
    assert await add_run(stores[0], "A") == 1
    assert await stores[3].get_run("A") == await stores[0].get_run("A") is not None
    assert await stores[1].get_run("A") is None
    for store in stores:
        await store.close()


async def test_a_session_leaves_the_others_alone(postgres_url: str) -> None:
    one, other = await opened(postgres_url, 2)
    first = await one.open_session(1, "host", 1)
    await add_run(one, "A", first)
    second = await other.open_session(2, "host", 2)
    assert await other.claim(second, 10, 9) == []
    assert [(row.number, row.runs) for row in await other.list_sessions()] == [(first, 1), (second, 0)]
    await one.close()
    await other.close()


async def test_claims_at_once_never_take_the_same_run(postgres_url: str) -> None:
    stores = await opened(postgres_url, 4)
    session = await stores[0].open_session(1, "host", 1, lease_us=LEASE_US)
    await stores[0].commit([create(f"p{n}", queue="q" if n % 2 else "", share=str(n % 5)) for n in range(200)])
    outcomes = await stores[0].commit([create(f"r{n}", session, state=State.RUNNING) for n in range(200)])
    assert all(isinstance(each, Created) for each in outcomes)
    await stores[0].close_session(session, 2)
    taken: Counter[str] = Counter()

    async def claim(store: PostgresStore) -> None:
        mine = await store.open_session(3, "host", 1, lease_us=LEASE_US)
        nothing = 0
        while nothing < 5:
            rows = await store.claim(mine, 10, 7)
            taken.update(ids(rows))
            nothing = 0 if rows else nothing + 1

    async with asyncio.TaskGroup() as group:
        for store in stores:
            group.create_task(claim(store))
    assert set(taken.values()) == {1}
    assert len(taken) == 400
    for store in stores:
        await store.close()


async def test_claims_at_once_keep_the_limits_of_a_queue(postgres_url: str) -> None:
    """Each run that is started ends a moment later; never are there more than the queue allows."""
    stores = await opened(postgres_url, 4)
    await stores[0].put_queue(QueueRow("q", concurrency=5, concurrency_per_share=2))
    await stores[0].commit([create(f"p{n}", queue="q", share=str(n % 4)) for n in range(60)])
    done: set[str] = set()
    most = 0

    async def work(store: PostgresStore) -> None:
        nonlocal most
        mine = await store.open_session(3, "host", 1, lease_us=LEASE_US)
        while len(done) < 60:
            for row in await store.claim(mine, 10, 7):
                (state,) = await store.list_queues()
                most = max(most, state.running)
                await end(store, row)
                done.add(row.id)

    async with asyncio.TaskGroup() as group:
        for store in stores:
            group.create_task(work(store))
    assert 2 <= most <= 5
    for store in stores:
        await store.close()


async def end(store: PostgresStore, row: RunRow) -> None:
    ended = (ev.RunCancelled(20),)
    write = Append(row.key, row.epoch, row.length, ended, 20, Head(State.CANCELLED, Detail.NONE))
    assert await store.commit([write]) == [Appended()]


async def test_no_run_is_given_to_a_session_that_is_just_ending(postgres_url: str) -> None:
    """Creations and claims for a session race with its end: afterwards nothing belongs to it."""
    one, other = await opened(postgres_url, 2)
    for turn in range(12):
        session = await one.open_session(1, "host", 1, lease_us=LEASE_US)
        await one.commit([create(f"w{turn}/{number}") for number in range(20)])
        async with asyncio.TaskGroup() as group:
            group.create_task(one.claim(session, 10, 20))
            group.create_task(one.commit([create(f"c{turn}/{number}", session) for number in range(20)]))
            group.create_task(other.close_session(session, 3, died=True))
        async with asyncio.TaskGroup() as group:
            owners = [group.create_task(one.get_run(f"{kind}{turn}/{n}")) for kind in "wc" for n in range(20)]
        assert {row.owner for row in (task.result() for task in owners) if row is not None} == {None}
    await one.close()
    await other.close()


async def test_a_stale_owner_and_the_new_one_write_at_once_and_only_one_counts(postgres_url: str) -> None:
    one, other = await opened(postgres_url, 2)
    first = await one.open_session(1, "host", 1, lease_us=LEASE_US)
    for turn in range(15):
        key = await add_run(one, f"r{turn}", first)
        second = await other.open_session(2, "host", 2, lease_us=LEASE_US)
        async with asyncio.TaskGroup() as group:
            stale = group.create_task(one.commit([append(key, 1), append(key, 2)]))
            claim = group.create_task(other.claim_run(second, f"r{turn}", by_force=True))
        row = claim.result()
        assert row is not None
        if row.length == 1:
            assert stale.result() == [FencedOff(), FencedOff()]
        else:
            assert (row.length, stale.result()) == (3, [Appended(), Appended()])
        assert await one.commit([append(key, row.length)]) == [FencedOff()]
        assert await other.commit([append(key, row.length, row.epoch, head=RUNNING)]) == [Appended()]
    await one.close()
    await other.close()


async def test_the_same_id_started_by_many_at_once_is_one_run(postgres_url: str) -> None:
    stores = await opened(postgres_url, 4)
    async with asyncio.TaskGroup() as group:
        starts = [
            group.create_task(store.commit([create(f"r{n}"), create(f"s{n}/{place}", singleton=f"s{n}")]))
            for n in range(25)
            for place, store in enumerate(stores)
        ]
    outcomes = [outcome for task in starts for outcome in task.result()]
    assert Counter(type(each) for each in outcomes) == {Created: 50, Exists: 150}
    for store in stores:
        await store.close()


async def test_messages_posted_at_once_are_numbered_and_counted_once(postgres_url: str) -> None:
    stores = await opened(postgres_url, 4)
    await add_run(stores[0], "A")

    def post(number: int) -> Post:
        return Post("A", f"m{number}", MessageKind.SIGNAL, "s", Payload(b"j1"), number)

    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(store.commit([post(n), post(n + 1)])) for n in range(20) for store in stores]
    outcomes = [outcome for task in posts for outcome in task.result()]
    assert all(isinstance(each, Posted) for each in outcomes)
    new = [each.number for each in outcomes if isinstance(each, Posted) and not each.is_duplicate]
    assert sorted(new) == list(range(1, 22))
    messages = await stores[0].inbox("A")
    assert [each.number for each in messages] == list(range(1, 22))
    assert {each.id for each in messages} == {f"m{n}" for n in range(21)}
    for store in stores:
        await store.close()


async def test_notices_reach_the_other_processes_of_the_same_namespace(postgres_url: str) -> None:
    heard: dict[str, list[Notice]] = {"self": [], "other": [], "elsewhere": []}
    arrived = asyncio.Event()
    many = [Notice(NoticeKind.INBOX, f"run {number} {'x' * 60}") for number in range(500)]

    def hear(notice: Notice) -> None:
        heard["other"].append(notice)
        if len(heard["other"]) == len(many) + 1:
            arrived.set()

    place = PostgresNamespaces(postgres_url)
    teller, elsewhere, other = place.store("a"), PostgresStore(postgres_url, "b"), PostgresStore(postgres_url, "a")
    teller.watch(heard["self"].append)
    other.watch(hear)
    elsewhere.watch(heard["elsewhere"].append)
    for store in (teller, elsewhere, other):
        await store.open()
    teller.notify([Notice(NoticeKind.RUNS), Notice(NoticeKind.RUNS), *many])
    await asyncio.wait_for(arrived.wait(), 20)
    assert set(heard["other"]) == {Notice(NoticeKind.RUNS), *many}
    assert heard["self"] == heard["elsewhere"] == []
    for store in (teller, elsewhere, other):
        await store.close()
    await place.close()


async def test_namespaces_share_connections_and_nothing_else(postgres_url: str) -> None:
    place = PostgresNamespaces(postgres_url)
    assert place.store("a") is place.store("a")
    await place.open()
    await place.open()
    a, b = place.store("a"), place.store("b \0")
    await a.open()
    await b.open()
    key = await add_run(a, "A")
    assert await b.get_run("A") is None
    assert await b.commit([append(key, 1, 0)]) == [FencedOff()], "a key of another namespace"
    session = await b.open_session(1, "host", 1, lease_us=5)
    assert await a.claim(session, 10, 9) == [], "a session of another namespace"
    assert await a.expire_sessions(100) == []
    assert await b.expire_sessions(100) == [session]
    assert await place.names() == ["a", "b \0"]
    await place.close()
    with pytest.raises(Exception, match="not open"):
        await a.get_run("A")
    await place.open()
    assert await a.get_run("A") is not None
    await place.close()
