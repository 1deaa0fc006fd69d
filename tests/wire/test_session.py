"""A worker's store over a real stream."""

from __future__ import annotations

import asyncio

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Choice,
    Created,
    CreateRun,
    Exists,
    FencedOff,
    Head,
    MessageKind,
    Notice,
    NoticeKind,
    Post,
    Posted,
)
from aeterna.kernel.clock import sleep
from tests.wire.serving import CLOCK, Worker, serving

W = Choice((("w", "1"),))
PATIENCE_S = 10


def creation(run_id, owner=None, **how):
    created = ev.RunCreated(CLOCK.now_us(), "w", "1", ev.Payload(b"j[]"))
    return CreateRun(run_id, "w", "1", State.PENDING, Detail.QUEUED, owner, (created,), **how)


def step(row, first, name="s", **how):
    event = ev.StepCompleted(CLOCK.now_us(), "", name, 1, b"", ev.Payload(b"j1"))
    return Append(row.key, row.epoch, first, (event,), CLOCK.now_us(), **how)


def start(row):
    return Append(row.key, row.epoch, row.length, (ev.RunStarted(1, 1),), CLOCK.now_us(), RUNNING)


RUNNING = Head(State.RUNNING, Detail.LEASED)
DONE = Head(State.COMPLETED, Detail.NONE)


def end(row, first):
    return Append(row.key, row.epoch, first, (ev.RunCompleted(1, ev.Payload(b"j1")),), CLOCK.now_us(), DONE)


async def claimed(worker, count, limit=100):
    rows = []
    async with asyncio.timeout(PATIENCE_S):
        while len(rows) < count:
            rows += await worker.store.claim(worker.session, CLOCK.now_us(), limit - len(rows), W)
            await sleep(0.002)
    return rows


def run(scenario):
    async def bounded():
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(bounded())


def test_a_run_is_created_pushed_with_its_history_written_and_ended():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            desk = await served.desk()
            assert await worker.store.claim(worker.session, CLOCK.now_us(), 10, W) == []
            assert isinstance(await desk.commit(creation("a")), Created)
            (row,) = await claimed(worker, 1)
            assert (row.id, row.owner, row.length) == ("a", worker.session, 1)
            assert [type(event) for event in await worker.store.history("a")] == [ev.RunCreated]
            assert await worker.store.inbox("a") == []
            assert await worker.store.commit([start(row), step(row, 2)]) == [Appended(), Appended()]
            ended = asyncio.ensure_future(desk.wait_end("a", 5))
            await sleep(0)
            assert await worker.store.commit([end(row, 3)]) == [Appended()]
            await ended
            found = await worker.store.get_run("a")
            assert found is not None
            assert (found.state, found.length) == (State.COMPLETED, 4)
            assert await worker.store.count_runs() == {State.COMPLETED: 1}

    run(scenario)


def test_runs_that_wait_in_the_store_are_spread_over_who_has_room():
    async def scenario():
        async with serving() as served, Worker(served) as one, Worker(served) as two:
            desk = await served.desk()
            for number in range(60):
                await desk.committer.commit(creation(f"r{number}"), 0)
            firsts = await one.store.claim(one.session, CLOCK.now_us(), 40, W)
            seconds = await two.store.claim(two.session, CLOCK.now_us(), 40, W)
            async with asyncio.timeout(PATIENCE_S):
                while len(firsts) + len(seconds) < 60:
                    firsts += await one.store.claim(one.session, CLOCK.now_us(), 40 - len(firsts), W)
                    seconds += await two.store.claim(two.session, CLOCK.now_us(), 40 - len(seconds), W)
                    await sleep(0.002)
            assert len({row.id for row in firsts + seconds}) == 60
            assert min(len(firsts), len(seconds)) >= 20

    run(scenario)


def test_the_runs_of_a_worker_whose_stream_breaks_go_on_elsewhere_at_once():
    async def scenario():
        async with serving() as served, Worker(served) as two:
            desk = await served.desk()
            one = await Worker(served).open()
            await one.store.claim(one.session, CLOCK.now_us(), 10, W)
            await desk.commit(creation("a"))
            (row,) = await claimed(one, 1, 10)
            await one.store.commit([start(row)])
            await one.store.close()
            began_us = CLOCK.monotonic_us()
            (again,) = await claimed(two, 1, 10)
            assert CLOCK.monotonic_us() - began_us < 250_000
            assert again.epoch == row.epoch + 1
            assert len(await two.store.history("a")) == 2
            assert await two.store.commit([step(row, 2)]) == [FencedOff()]
            assert await two.store.commit([step(again, 2)]) == [Appended()]

    run(scenario)


def test_a_server_that_restarts_finds_its_workers_sessions_alive():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            await (await served.desk()).commit(creation("a"))
            (row,) = await claimed(worker, 1)
            await worker.store.commit([start(row)])
            await served.stop()
            writing = asyncio.ensure_future(worker.store.commit([step(row, 2)]))
            await sleep(0.05)
            await served.start()
            assert await writing == [Appended()]
            assert await worker.store.renew_sessions([worker.session], CLOCK.now_us() + 5_000_000) == [worker.session]
            assert [notice.kind for notice in worker.notices].count(NoticeKind.LOST) == 0
            found = await worker.store.get_run("a")
            assert found is not None
            assert (found.owner, found.epoch, found.length) == (worker.session, row.epoch, 3)

    run(scenario)


def test_what_a_worker_does_not_hold_any_more_is_given_up_when_it_comes_back():
    async def scenario():
        async with serving() as served, Worker(served) as one, Worker(served) as two:
            desk = await served.desk()
            for name in "ab":
                await desk.commit(creation(name))
            rows = await claimed(one, 2, limit=2)
            kept, dropped = rows
            del one.store._held[dropped.key]
            await served.stop()
            await served.start()
            (again,) = await claimed(two, 1)
            assert again.id == dropped.id
            assert (await two.store.get_run(kept.id)).owner == one.session

    run(scenario)


def test_a_session_that_is_not_renewed_is_over_though_its_stream_stands():
    async def scenario():
        async with serving() as served, Worker(served) as other:
            worker = Worker(served)
            await worker.open(lease_us=300_000)
            await worker.store.claim(worker.session, CLOCK.now_us(), 10, W)
            await (await served.desk()).commit(creation("a"))
            (row,) = await claimed(worker, 1, 10)
            (again,) = await claimed(other, 1)
            assert again.id == row.id
            async with asyncio.timeout(PATIENCE_S):
                while Notice(NoticeKind.LOST) not in worker.notices:
                    await sleep(0.005)
            assert await worker.open()
            assert await worker.store.commit([start(row)]) == [FencedOff()]
            await worker.store.close()

    run(scenario)


def test_messages_are_told_to_the_worker_that_has_the_run():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            await worker.store.commit([start(row)])
            posted = await desk.commit(Post("a", "", MessageKind.SIGNAL, "go", ev.Payload(b"j1"), CLOCK.now_us()))
            assert isinstance(posted, Posted)
            desk.announce(Notice(NoticeKind.INBOX, "a"))
            async with asyncio.timeout(PATIENCE_S):
                while Notice(NoticeKind.INBOX, "a") not in worker.notices:
                    await sleep(0.002)
            (message,) = await worker.store.inbox("a")
            assert message.name == "go"
            assert await worker.store.commit([step(row, 2, consumed=(message.number,))]) == [Appended()]
            assert await worker.store.inbox("a") == []

    run(scenario)


def test_a_worker_creates_runs_of_its_own_and_for_others():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            own, other, again = await worker.store.commit(
                [creation("own", worker.session), creation("other"), creation("own")]
            )
            assert isinstance(own, Created)
            assert isinstance(other, Created)
            assert isinstance(again, Exists)
            assert (own.epoch, other.epoch) == (1, 0)
            assert (await worker.store.claim_run(worker.session, "other")).owner == worker.session

    run(scenario)


def test_one_impossible_write_disturbs_nobody_else():
    async def scenario():
        async with serving() as served, Worker(served) as one, Worker(served) as two:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(one, 1)
            results = await asyncio.gather(
                one.store.commit([step(row, 77)]),
                two.store.commit([creation("b")]),
                desk.commit(creation("c")),
                return_exceptions=True,
            )
            assert "starts at 77" in str(results[0])
            assert isinstance(results[1][0], Created)
            assert isinstance(results[2], Created)
            assert await one.store.commit([start(row)]) == [Appended()]

    run(scenario)
