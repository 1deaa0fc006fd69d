"""What a coordinator does on its own: over stores that commit later, fail, or are shared, and for runs that kill."""

from __future__ import annotations

import asyncio

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
    FencedOff,
    Head,
    MessageKind,
    Notice,
    NoticeKind,
    Post,
)
from aeterna.durable.stores.memory import MemoryNamespaces, MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreCorruptError, StoreError, UsageError
from tests.wire.serving import CLOCK, Worker, serving
from tests.wire.test_session import W, claimed, creation, end, run, start, step


class LateStore(MemoryStore):
    """Commits later, in several lanes, and fails when told to."""

    commit_shards = 3
    failures = 0
    corrupt = ""

    def commit_at_once(self, writes):
        return None

    async def commit(self, writes):
        await sleep(0)
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        return super().commit_at_once(writes)

    async def history(self, run_id, start=0):
        if run_id == self.corrupt:
            raise StoreCorruptError("a page is damaged")
        return await super().history(run_id, start)


class Stores(MemoryNamespaces):
    """Namespaces of stores of a kind; ``shared``: the servers that look at them hear of each other by looking only."""

    def __init__(self, kind=MemoryStore, **how):
        super().__init__()
        self._kind = kind
        self._how = how

    def store(self, namespace):
        if namespace not in self._stores:
            self._stores[namespace] = self._kind(namespace, **self._how)
        return self._stores[namespace]


async def until(condition):
    async with asyncio.timeout(10):
        while not await condition():
            await sleep(0.01)


def test_a_store_that_commits_later_serves_as_well():
    async def scenario():
        async with serving(Stores(LateStore)) as served, Worker(served) as one, Worker(served) as two:
            desk = await served.desk()
            await asyncio.gather(*(desk.commit(creation(f"r{number}")) for number in range(50)))
            rows = [(one, row) for row in await claimed(one, 25, 25)]
            rows += [(two, row) for row in await claimed(two, 25, 25)]
            outcomes = await asyncio.gather(
                *(worker.store.commit([start(row), step(row, 2), end(row, 3)]) for worker, row in rows)
            )
            assert outcomes == [[Appended()] * 3] * 50
            assert await desk.store.count_runs() == {State.COMPLETED: 50}

    run(scenario)


def test_a_store_in_trouble_is_told_to_whoever_writes_and_to_nobody_later():
    async def scenario():
        namespaces = Stores(LateStore)
        async with serving(namespaces) as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            namespaces.store("orders").failures = 1
            with pytest.raises(StoreError, match="disk is full"):
                await worker.store.commit([start(row)])
            assert await worker.store.commit([start(row)]) == [Appended()]
            namespaces.store("orders").failures = 1
            with pytest.raises(StoreError, match="disk is full"):
                await desk.commit(creation("b"))
            assert isinstance(await desk.commit(creation("b")), Created)

    run(scenario)


def test_one_impossible_write_is_told_to_its_writer_only_in_a_store_that_commits_later():
    async def scenario():
        async with serving(Stores(LateStore)) as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            lanes = desk.committer
            answers = []
            lanes.submit([step(row, 77)], answers.append, 0)
            lanes.submit([creation("b"), creation("c")], answers.append, 0)
            lanes.submit([start(row)], answers.append, 0)
            await lanes.drain()
            assert "starts at 77" in str(answers[0])
            assert [type(outcome) for outcome in answers[1]] == [Created, Created]
            assert answers[2] == [Appended()]
            lanes.close()
            lanes.submit([creation("d")], answers.append, 0)
            assert "stopping" in str(answers[3])

    run(scenario)


def test_a_history_that_cannot_be_read_is_the_workers_to_report():
    async def scenario():
        namespaces = Stores(LateStore)
        async with serving(namespaces) as served, Worker(served) as worker:
            desk = await served.desk()
            namespaces.store("orders").corrupt = "a"
            await desk.committer.commit(creation("a"), 0)
            (row,) = await claimed(worker, 1)
            with pytest.raises(StoreCorruptError, match="damaged"):
                await worker.store.history("a")
            stuck = Head(State.PENDING, Detail.STUCK, note="damaged")
            assert await worker.store.commit([Append(row.key, row.epoch, 1, (), 1, stuck)]) == [Appended()]

    run(scenario)


def test_a_run_that_kills_its_workers_is_set_aside_with_the_reason():
    async def scenario():
        async with serving(crash_limit=2) as served:
            desk = await served.desk()
            await desk.commit(creation("killer"))
            for _ in range(2):
                worker = await Worker(served).open()
                await claimed(worker, 1)
                await worker.store.close()

            async def is_stuck():
                row = await desk.store.get_run("killer")
                return row.detail is Detail.STUCK

            await until(is_stuck)
            row = await desk.store.get_run("killer")
            assert "2 workers in a row died" in row.note
            assert row.owner is None

    run(scenario)


def test_a_run_that_sleeps_is_handed_out_when_it_is_due():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            due_us = CLOCK.now_us() + 150_000
            asleep = Head(State.RUNNING, Detail.SLEEPING, due_us, release=True)
            started = (ev.RunStarted(1, worker.session),)
            await worker.store.commit([Append(row.key, row.epoch, 1, started, 1, asleep)])
            (again,) = await claimed(worker, 1)
            assert CLOCK.now_us() >= due_us
            assert again.epoch == row.epoch + 1
            assert await worker.store.commit([step(row, 2)]) == [FencedOff()]

    run(scenario)


def test_a_message_wakes_a_run_that_nobody_has():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            asleep = Head(State.RUNNING, Detail.WAITING_SIGNAL, 2**62, release=True)
            started = (ev.RunStarted(1, worker.session),)
            await worker.store.commit([Append(row.key, row.epoch, 1, started, 1, asleep)])
            await desk.commit(Post("a", "", MessageKind.SIGNAL, "go", ev.Payload(b"j1"), CLOCK.now_us()))
            (again,) = await claimed(worker, 1)
            (message,) = await worker.store.inbox("a")
            assert (again.id, message.name) == ("a", "go")

    run(scenario)


def test_two_servers_over_one_place_serve_each_others_workers():
    async def scenario():
        namespaces = Stores(is_shared=True)
        async with serving(namespaces) as one, serving(namespaces) as two, Worker(one) as first, Worker(two) as second:
            assert first.session != second.session
            waits = asyncio.ensure_future((await one.desk()).wait_end("a", 10))
            await sleep(0)
            await (await one.desk()).committer.commit(creation("a"), 0)
            rows = []
            async with asyncio.timeout(10):
                while not rows:
                    rows = await second.store.claim(second.session, CLOCK.now_us(), 5, W)
                    await sleep(0.005)
            await (await one.desk()).commit(Post("a", "", MessageKind.SIGNAL, "go", ev.Payload(b"j1"), CLOCK.now_us()))
            async with asyncio.timeout(10):
                while Notice(NoticeKind.INBOX, "a") not in second.notices:
                    await sleep(0.005)
            await second.store.commit([start(rows[0]), end(rows[0], 2)])
            await waits

    run(scenario)


def test_a_parent_and_whoever_asked_hear_of_an_end():
    async def scenario():
        async with serving() as served, Worker(served) as parent, Worker(served) as child:
            heard = []
            (await served.desk()).listen(heard.append)
            created, _ = await parent.store.commit([creation("p", parent.session), creation("q")])
            assert isinstance(created, Created)
            await parent.store.commit([creation("c", parent="p")])
            rows = {row.id: row for row in await claimed(child, 2)}
            for name in "cq":
                await child.store.commit([start(rows[name]), end(rows[name], 2)])
            async with asyncio.timeout(10):
                while not {Notice(NoticeKind.ENDED, "c"), Notice(NoticeKind.ENDED, "q")} <= {*parent.notices}:
                    await sleep(0.002)
            assert {Notice(NoticeKind.ENDED, "c"), Notice(NoticeKind.ENDED, "q")} <= {*heard}

    run(scenario)


def test_every_write_counts_once_while_the_server_restarts_again_and_again():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            await (await served.desk()).commit(creation("a"))
            (row,) = await claimed(worker, 1)
            assert await worker.store.commit([start(row)]) == [Appended()]
            stopping = asyncio.Event()

            async def restart():
                for _ in range(6):
                    await sleep(0.03)
                    await served.stop()
                    await served.start()
                stopping.set()

            restarting = asyncio.ensure_future(restart())
            count = 0
            while not stopping.is_set():
                batch = [step(row, 2 + count, str(count)), creation(f"c{count}", worker.session)]
                appended, created = await worker.store.commit(batch)
                assert appended == Appended()
                # One whose answer was lost may have been given up: then it is there, for whoever has room.
                assert isinstance(created, Created) or created.row.id == f"c{count}"
                count += 1
            await restarting
            history = await worker.store.history("a")
            names = [event.name for event in history if isinstance(event, ev.StepCompleted)]
            assert names == [str(number) for number in range(count)]
            assert await worker.store.count_runs() == {State.RUNNING: 1, State.PENDING: count}

    run(scenario)


def test_names_and_numbers_of_namespaces_are_bounded():
    async def scenario():
        coordinator = Coordinator(MemoryNamespaces(), CLOCK, CoordinatorOptions(namespaces_max=2))
        with pytest.raises(StoreError, match="stopping"):
            await coordinator.namespace("early")
        await coordinator.start()
        await coordinator.start()
        for name in ("", "x" * 65, "a\nb"):
            with pytest.raises(UsageError, match="use up to 64 letters"):
                await coordinator.namespace(name)
        desks = await asyncio.gather(*(coordinator.namespace("a") for _ in range(5)))
        assert len(set(desks)) == 1
        await coordinator.namespace("b")
        with pytest.raises(UsageError, match="2 are open"):
            await coordinator.namespace("c")
        assert set(coordinator.desks) == {"a", "b"}
        await coordinator.stop()
        await coordinator.stop()
        with pytest.raises(StoreError, match="stopping"):
            await desks[0].commit(creation("late"))

    run(scenario)


def test_an_end_that_no_notice_told_is_found_and_one_who_waits_at_a_server_that_leaves_hears_it():
    async def scenario():
        namespaces = Stores(is_shared=True)
        async with serving(namespaces) as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            waits = asyncio.ensure_future(desk.wait_end("a", 10))
            await sleep(0.02)
            assert not waits.done()
            # Behind the desk's back, as another server does whose notice is lost.
            assert await namespaces.store("orders").commit([start(row), end(row, 2)]) == [Appended()] * 2
            await waits
            await desk.wait_end("nobody", 10)
            await desk.commit(creation("b"))
            with pytest.raises(TimeoutError):
                await desk.wait_end("b", 0.02)
            waits = asyncio.ensure_future(desk.wait_end("b", 10))
            await sleep(0.02)
            desk.leave()
            with pytest.raises(StoreError, match="the run goes on"):
                await waits
            with pytest.raises(StoreError, match="the run goes on"):
                await desk.wait_end("b", 10)

    run(scenario)


def test_a_service_that_fails_is_started_again():
    async def scenario():
        async with serving() as served:
            desk = await served.desk()
            failures = []

            async def fails_once():
                failures.append(len(failures))
                if len(failures) == 1:
                    raise ValueError("a bug")
                done.set()
                await asyncio.Event().wait()

            done = asyncio.Event()
            serving_it = asyncio.ensure_future(served.coordinator._supervise(fails_once))
            async with asyncio.timeout(10):
                await done.wait()
            assert failures == [0, 1]
            serving_it.cancel()
            assert isinstance(await desk.commit(creation("a")), Created)

    run(scenario)
