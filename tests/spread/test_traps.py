"""Mistakes that are easy to make here and hard to see, and that no other test would name."""

from __future__ import annotations

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Append, Appended, FencedOff, Head, QueueRow
from aeterna.kernel.errors import ConfigurationError
from tests.wire.serving import CLOCK, Worker, serving
from tests.wire.test_session import W, claimed, creation, end, run, start, step


def test_a_queue_without_a_name_cannot_be_paused_by_a_worker():
    """It would hold up every run that waits in no queue at all."""

    async def scenario():
        async with serving() as served, Worker(served) as worker:
            with pytest.raises(ConfigurationError, match="name ''"):
                await worker.store.put_queue(QueueRow("", is_paused=True))
            await (await served.desk()).commit(creation("a"))
            assert [row.id for row in await claimed(worker, 1)] == ["a"]

    run(scenario)


def test_an_ended_run_frees_its_workers_place():
    """One that takes a single run at a time gets the next one as soon as the last one has ended."""

    async def scenario():
        async with serving() as served, Worker(served) as worker:
            desk = await served.desk()
            for number in range(5):
                await desk.commit(creation(f"r{number}"))
            for number in range(5):
                (row,) = await claimed(worker, 1, 1)
                assert row.id == f"r{number}"
                assert await worker.store.commit([start(row), end(row, 2)]) == [Appended(), Appended()]
            assert not desk.sessions.find(worker.session).held

    run(scenario)


def test_a_renewed_lease_does_not_disturb_what_is_being_written():
    """The epoch is the run's, not the heartbeat's."""

    async def scenario():
        async with serving() as served, Worker(served) as worker:
            await (await served.desk()).commit(creation("a"))
            (row,) = await claimed(worker, 1)
            assert await worker.store.commit([start(row)]) == [Appended()]
            for first in range(2, 5):
                assert await worker.store.renew_sessions([worker.session], 0) == [worker.session]
                assert await worker.store.commit([step(row, first, f"s{first}")]) == [Appended()]

    run(scenario)


def test_a_lease_that_has_ended_is_not_revived_by_a_renewal():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            await desk.store.close_session(worker.session, CLOCK.now_us(), died=True)
            assert await worker.store.renew_sessions([worker.session], 0) == []
            assert await desk.store.claim_run(desk.session, "a") is not None
            assert await worker.store.commit([start(row)]) == [FencedOff()]

    run(scenario)


def test_a_waiting_run_is_not_taken_over_when_the_session_that_had_it_dies():
    """It had been given up when it began to wait, so it is nobody's until it is due."""

    async def scenario():
        async with serving() as served, Worker(served) as other:
            desk = await served.desk()
            first = await Worker(served).open()
            await first.store.claim(first.session, CLOCK.now_us(), 10, W)
            await desk.commit(creation("a"))
            (row,) = await claimed(first, 1, 10)
            wake_us = CLOCK.now_us() + 3_600_000_000
            sleeping = Head(State.RUNNING, Detail.SLEEPING, wake_us, release=True)
            assert (
                await first.store.commit([start(row), Append(row.key, row.epoch, 2, (), 1, sleeping)])
                == [Appended()] * 2
            )
            await first.store.close()
            assert await other.store.claim(other.session, CLOCK.now_us(), 10, W) == []
            await desk.commit(creation("b"))
            assert [found.id for found in await claimed(other, 1)] == ["b"]
            found = await desk.store.get_run("a")
            assert (found.owner, found.wake_us, found.epoch) == (None, wake_us, row.epoch)

    run(scenario)


def test_what_a_history_says_of_a_running_run_is_that_it_runs():
    """The state is folded from the events, so there is none that nobody writes."""
    created = ev.RunCreated(1, "w", "1", ev.Payload(b"j[]"))
    assert fold([created]).state is State.PENDING
    assert fold([created, ev.RunStarted(2, 1)]).state is State.RUNNING
