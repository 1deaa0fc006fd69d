"""Which worker a run goes to: by affinity, back to where it was, and from one worker to another on request."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from aeterna import App, Context
from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.coordinator.attached import Attached
from aeterna.durable.engine.coordinator.preferences import Preferences, highest
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.stores.contract import NEVER_US, Append, Appended, Choice, Head, Notice, NoticeKind, RunRow
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreError
from tests.wire.serving import CLOCK, Worker, serving
from tests.wire.test_coordinator import Stores, until
from tests.wire.test_session import W, claimed, creation, run, start

KEYS = [f"customer-{number}" for number in range(12)]


def bound(run_id, affinity, **how):
    """A creation with an affinity."""
    plain = creation(run_id, **how)
    return structs.replace(plain, events=(structs.replace(plain.events[0], affinity=affinity),))


async def open_to(desk, workers, room, choice=W):
    """The workers take so many runs, and the server knows it."""
    for worker in workers:
        assert await worker.store.claim(worker.session, CLOCK.now_us(), room, choice) == []

    async def is_known():
        return all(desk.sessions.find(worker.session).room == room for worker in workers)

    await until(is_known)


async def gather(workers, count, room=100, choice=W):
    """What each of them gets, until it is so many in all."""
    found = defaultdict(list)
    async with asyncio.timeout(10):
        while sum(map(len, found.values())) < count:
            for worker in workers:
                limit = room - len(found[worker.session])
                found[worker.session] += await worker.store.claim(worker.session, CLOCK.now_us(), limit, choice)
            await sleep(0.002)
    return found


def release(row, wake_us=None):
    head = Head(State.RUNNING, Detail.SLEEPING if wake_us else Detail.LEASED, wake_us, release=True)
    return Append(row.key, row.epoch, row.length, (), CLOCK.now_us(), head)


async def begin(worker, row):
    """It executes; returns the row as it is then."""
    assert await worker.store.commit([start(row)]) == [Appended()]
    return structs.replace(row, length=row.length + 1)


@pytest.mark.parametrize("how", [{}, {"queue": "q"}, {"requires": ("gpu",)}], ids=["plain", "queued", "required"])
def test_runs_of_one_affinity_go_to_one_worker_and_all_workers_get_some(how):
    choice = Choice((("w", "1"),), None, ("gpu",))

    async def scenario():
        async with serving() as served, AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(Worker(served)) for _ in range(3)]
            desk = await served.desk()
            await open_to(desk, workers, 100, choice)
            for number in range(5):
                for key in KEYS:
                    await desk.commit(bound(f"{key}/{number}", key, **how))
            found = await gather(workers, 60, choice=choice)
            places = {
                key: {s for s, rows in found.items() for row in rows if row.id.startswith(f"{key}/")} for key in KEYS
            }
            assert all(len(sessions) == 1 for sessions in places.values()), places
            assert len(set().union(*places.values())) > 1

    run(scenario)


def test_a_run_goes_elsewhere_at_once_where_its_worker_has_no_room_or_has_gone():
    async def scenario():
        async with serving() as served, Worker(served) as one, Worker(served) as two:
            desk = await served.desk()
            await open_to(desk, [one, two], 2)
            for number in range(4):
                await desk.commit(bound(f"a{number}", "a"))
            found = await gather([one, two], 4, 2)
            assert sorted(map(len, found.values())) == [2, 2]
            first = one if any(row.id == "a0" for row in found[one.session]) else two
            other = two if first is one else one
            await first.store.close()
            await desk.commit(bound("later", "a"))
            rows = await claimed(other, 3)
            assert {row.id for row in rows} == {"later", *(row.id for row in found[first.session])}

    run(scenario)


@given(st.text(max_size=20), st.sets(st.integers(1, 2**40), min_size=2, max_size=9))
def test_only_the_runs_of_the_worker_that_goes_change_their_worker(affinity, numbers):
    belongs = highest(affinity, numbers)
    assert highest(affinity, sorted(numbers)) == belongs
    for gone in numbers - {belongs}:
        assert highest(affinity, numbers - {gone}) == belongs
    assert highest(affinity, ()) is None


def test_a_run_that_waited_goes_back_to_the_worker_that_had_it():
    """Also where another one has more room; and to that one if the first has gone."""

    async def scenario():
        async with serving() as served, Worker(served) as other:
            desk = await served.desk()
            first = await Worker(served).open()
            await open_to(desk, [first], 5)
            await desk.commit(creation("a"))
            (row,) = await claimed(first, 1, 5)
            await open_to(desk, [other], 100)
            for _ in range(2):
                row = await begin(first, row)
                assert await first.store.commit([release(row, CLOCK.now_us() + 30_000)]) == [Appended()]
                (row,) = await claimed(first, 1, 5)
            row = await begin(first, row)
            assert await first.store.commit([release(row, CLOCK.now_us() + 300_000)]) == [Appended()]
            await first.store.close()
            (row,) = await claimed(other, 1)
            assert row.id == "a"

    run(scenario)


def test_a_run_goes_to_whoever_claimed_it_where_the_one_it_prefers_turns_out_to_be_over():
    """The store knows that the session has ended, and this server does not yet."""

    async def scenario():
        async with serving(look_s=3600) as served, Worker(served) as one, Worker(served) as two:
            desk = await served.desk()
            numbers = [one.session, two.session]
            gone, left = (one, two) if highest("a", numbers) == one.session else (two, one)
            await open_to(desk, [one, two], 10)
            await desk.store.close_session(gone.session, CLOCK.now_us(), died=True)
            desk.sessions.find(gone.session).room = 1
            await desk.commit(bound("a", "a", queue="q"))
            assert [row.id for row in await claimed(left, 1, 10)] == ["a"]

    run(scenario)


def test_what_a_worker_died_with_stays_with_whoever_takes_it():
    """Passing it on would forget the crash, and a run that kills its workers would never be set aside."""
    sessions = Sessions(MemoryStore("orders"), CLOCK)
    preferences = Preferences(sessions, CLOCK)
    claimer = Attached(1, 1_000_000, None)
    row = RunRow(1, "a", "w", "1", State.RUNNING, Detail.LEASED, 0, 0, 1, 1, crashes=1)
    history = [ev.RunCreated(0, "w", "1", ev.Payload(b"j[]"), affinity="a")]
    assert preferences.better(claimer, row, history, 1) is None


def test_what_cannot_be_read_is_handed_out_all_the_same_and_asked_for_by_the_worker():
    class Unreadable(MemoryStore):
        failures = 0

        async def history(self, run_id, start=0):
            if self.failures:
                self.failures -= 1
                raise StoreError("the connection broke")
            return await super().history(run_id, start)

    async def scenario():
        namespaces = Stores(Unreadable)
        async with serving(namespaces) as served, Worker(served) as worker:
            desk = await served.desk()
            namespaces.store("orders").failures = 1
            await desk.committer.commit(creation("a"), 0)
            (row,) = await claimed(worker, 1)
            assert len(await worker.store.history(row.id)) == 1
            assert Notice(NoticeKind.INBOX, "a") in worker.notices

    run(scenario)


def test_a_loaded_worker_is_asked_once_and_what_it_gives_up_goes_to_the_one_that_joined():
    async def scenario():
        async with serving() as served, Worker(served) as one, Worker(served) as two:
            desk = await served.desk()
            await open_to(desk, [one], 100)
            for number in range(10):
                await desk.commit(creation(f"r{number}"))
            rows = [await begin(one, row) for row in await claimed(one, 10)]
            await open_to(desk, [two], 100)
            asked = Notice(NoticeKind.YIELD, "5")
            async with asyncio.timeout(10):
                while asked not in one.notices:
                    await sleep(0.01)
            # New runs go to the other one meanwhile, and the first one gets nothing back, although it has more room.
            assert await one.store.commit([release(row) for row in rows[:5]]) == [Appended()] * 5
            moved = await claimed(two, 5)
            assert {row.id for row in moved} == {row.id for row in rows[:5]}
            assert desk.dispatch.balancer.handed_over == 5
            assert one.notices.count(asked) == 1

    run(scenario)


def waiting_app(address):
    app = App("orders", server=address)

    @app.workflow
    async def waits(ctx: Context) -> int:
        return await ctx.wait_signal("go", int)

    return app, waits


def test_runs_that_wait_leave_memory_first_and_hold_nobody_up():
    async def scenario():
        async with serving() as served:
            app, waits = waiting_app(served.address)
            desk = await served.desk()

            async def holds(check):
                return check([await desk.store.get_run(f"r{number}") for number in range(8)])

            async with app:
                handles = [await waits.options(workflow_id=f"r{number}").start() for number in range(8)]
                await until(lambda: holds(lambda rows: all(row.detail is Detail.WAITING_SIGNAL for row in rows)))
                async with Worker(served) as joining:
                    await open_to(desk, [joining], 10_000, Choice((("waits", "1"),)))
                    await until(lambda: holds(lambda rows: sum(row.owner is None for row in rows) == 4))
                assert await holds(lambda rows: {row.wake_us for row in rows} == {NEVER_US})
                for handle in handles:
                    await handle.signal("go", 7)
                assert await asyncio.gather(*(handle.result() for handle in handles)) == [7] * 8

    run(scenario)
