"""`why` gathers what is to be known from a real store."""

from __future__ import annotations

import msgspec
import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import Payload
from aeterna.durable.core.states import Detail, State
from aeterna.durable.core.why_facts import Kind, Why
from aeterna.durable.operations.queues import put_queue
from aeterna.durable.operations.why import GENERATIONS_MAX, why
from aeterna.durable.stores.contract import NEVER_US, Append, Head, MessageKind, Post, QueueRow
from aeterna.kernel.errors import RunNotFoundError
from tests.flow.desk import MINUTE, TestDesk, desk
from tests.stores.samples import create

NULL = Payload(b"jnull")


async def add(world: TestDesk, *run_ids: str, **fields: object) -> None:
    for run_id in run_ids:
        await world.store.commit([create(run_id, **fields)])


def kinds(found: Why) -> list[Kind]:
    return [found.kind, *(other.kind for other in found.also)]


async def test_an_unknown_run_is_not_explained():
    async with desk() as world:
        with pytest.raises(RunNotFoundError):
            await why(world, "x")


async def test_a_run_behind_a_full_queue():
    async with desk() as world:
        await put_queue(world, QueueRow("gpu", concurrency=1))
        await add(world, "A", "B", "C", queue="gpu")
        await add(world, "other", queue="cpu")
        await add(world, "urgent", queue="gpu", priority=-1)
        await world.begin("A")
        found = await why(world, "C")
        assert kinds(found) == [Kind.CONCURRENCY]
        assert found.text == "queue 'gpu' has 1 runs going, and its limit is 1; 2 runs of it come before this one"
        assert found.run_id == "C"


async def test_a_run_whose_share_is_full():
    async with desk() as world:
        await put_queue(world, QueueRow("gpu", concurrency_per_share=1))
        await add(world, "A", "B", queue="gpu", share="acme")
        await add(world, "C", queue="gpu", share="other")
        await world.begin("A")
        assert (await why(world, "B")).text.startswith("share 'acme' of queue 'gpu' has 1 runs going")
        assert (await why(world, "C")).kind is Kind.BEHIND


async def test_a_run_behind_a_rate():
    async with desk() as world:
        await put_queue(world, QueueRow("mail", rate=1, rate_period_us=MINUTE))
        await add(world, "A", "B", queue="mail")
        (claimed,) = await world.store.claim(world.session, world.wall.now_us(), 9)
        assert claimed.id == "A"
        found = await why(world, "B")
        assert (found.kind, found.until_us) == (Kind.RATE, world.wall.now_us() + MINUTE)


async def test_a_run_of_a_queue_without_limits_and_of_none():
    async with desk() as world:
        await add(world, "A", queue="gpu")
        await add(world, "B")
        assert (await why(world, "A")).kind is Kind.CLAIMABLE
        assert (await why(world, "B")).kind is Kind.CLAIMABLE
        await world.finish("B")
        assert (await why(world, "B")).kind is Kind.ENDED


async def test_a_run_that_waits_for_a_child_that_waits_for_a_worker():
    async with desk() as world:
        child = "A/0:child:1"
        await add(world, "A")
        row = await world.begin("A")
        begun = (ev.ChildStarted(1, "0", "child", 1, b"f", child),)
        head = Head(State.RUNNING, Detail.WAITING_CHILD, NEVER_US, release=True)
        await world.store.commit([Append(row.key, row.epoch, row.length, begun, 1, head)])
        await add(world, child, parent="A", requires=("cuda",))
        found = await why(world, "A")
        assert found.kind is Kind.CHILD
        assert found.because is not None
        assert (found.because.run_id, found.because.kind) == (child, Kind.NO_WORKER)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Why) == found


async def test_a_long_line_of_children_is_followed_so_far():
    async with desk() as world:
        run_id = "A"
        for _ in range(GENERATIONS_MAX + 3):
            child = f"{run_id}/0:child:1"
            await add(world, run_id)
            row = await world.begin(run_id)
            begun = (ev.ChildStarted(1, "0", "child", 1, b"f", child),)
            head = Head(State.RUNNING, Detail.WAITING_CHILD, NEVER_US, release=True)
            await world.store.commit([Append(row.key, row.epoch, row.length, begun, 1, head)])
            run_id = child
        found: Why | None = await why(world, "A")
        count = 0
        while found is not None:
            assert found.kind is Kind.CHILD
            found, count = found.because, count + 1
        assert count == GENERATIONS_MAX + 1


async def test_a_child_that_is_gone_is_left_out():
    async with desk() as world:
        await add(world, "A")
        row = await world.begin("A")
        begun = (ev.ChildStarted(1, "0", "child", 1, b"f", "gone"),)
        await world.store.commit([Append(row.key, row.epoch, row.length, begun, 1)])
        found = await why(world, "A")
        assert [each.because for each in (found, *found.also)] == [None, None]


async def test_a_run_with_a_message_is_taken_next():
    async with desk() as world:
        await add(world, "A")
        row = await world.begin("A")
        head = Head(State.RUNNING, Detail.WAITING_SIGNAL, NEVER_US, release=True, note="signal 'go'")
        await world.store.commit([Append(row.key, row.epoch, row.length, (), 1, head)])
        assert kinds(await why(world, "A")) == [Kind.SIGNAL]
        await world.commit(Post("A", "1", MessageKind.SIGNAL, "go", NULL, 1))
        assert kinds(await why(world, "A")) == [Kind.SIGNAL, Kind.CLAIMABLE]


async def test_workers_say_what_they_take_and_servers_are_none():
    async with desk() as world:
        store, now_us = world.store, world.wall.now_us()
        await add(world, "A", requires=("cuda",))
        about = '{"workflows": [["orders", "1"]], "queues": null, "capabilities": ["gpu"], "room": 3}'
        lease_us = 10 * MINUTE
        worker = await store.open_session(now_us, "host", 7, lease_us=lease_us, name="w1", about=about)
        await store.open_session(now_us, "host", 8, lease_us=lease_us, about='{"role": "server"}')
        await store.close_session(world.session, now_us)
        assert (await why(world, "A")).text == (
            f"no worker can execute it: worker w1 (session {worker}) does not have 'cuda'"
        )
        odd = await store.open_session(now_us, "host", 9, lease_us=lease_us, about='{"workflows": 5}')
        assert (await why(world, "A")).text.endswith(f"; worker host:9 (session {odd}) does not have 'cuda'")


async def test_runs_that_have_nothing_to_do_with_it_hide_none_of_its_queue():
    """However many are newer."""
    async with desk() as world:
        await world.store.put_queue(QueueRow("gpu", concurrency=1))
        await world.commit(create("A", queue="gpu", owner=world.session))
        for run in ("B", "C"):
            await world.commit(create(run, queue="gpu"))
        await world.store.commit([create(f"other-{number}") for number in range(1_100)])
        found = await why(world, "C")
        assert found.text == "queue 'gpu' has 1 runs going, and its limit is 1; 1 run of it come before this one"
