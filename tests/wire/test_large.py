"""Long histories and full inboxes travel in pieces."""

from __future__ import annotations

from aeterna.durable.core import events as ev
from aeterna.durable.stores.contract import Append, Appended, MessageKind, Post
from tests.wire.serving import CLOCK, Worker, serving
from tests.wire.test_session import claimed, creation, run, start

STEPS = 400
PAYLOAD = ev.Payload(b"b" + b"x" * 20_000)
HUGE = ev.Payload(b"b" + b"y" * 3_900_000)


def steps(row, first, payloads):
    events = tuple(
        ev.StepCompleted(1, "", str(first + number), 1, b"", payload) for number, payload in enumerate(payloads)
    )
    return Append(row.key, row.epoch, first, events, CLOCK.now_us())


def test_a_long_history_reaches_the_next_worker_whole():
    async def scenario():
        async with serving() as served, Worker(served) as second:
            desk = await served.desk()
            first = await Worker(served).open()
            await desk.commit(creation("a"))
            (row,) = await claimed(first, 1)
            writes = [start(row), steps(row, 2, [PAYLOAD] * STEPS), steps(row, 2 + STEPS, [HUGE] * 5)]
            assert await first.store.commit(writes) == [Appended()] * 3
            await first.store.close()
            (again,) = await claimed(second, 1)
            assert again.length == 2 + STEPS + 5
            history = await second.store.history("a")
            assert history == await desk.store.history("a")
            assert [event.result for event in history[2:]] == [PAYLOAD] * STEPS + [HUGE] * 5
            assert await second.store.history("a", 2 + STEPS + 4) == history[-1:]
            assert await second.store.history("nobody") == []

    run(scenario)


def test_a_full_inbox_is_read_whole():
    async def scenario():
        async with serving() as served, Worker(served) as worker:
            desk = await served.desk()
            await desk.commit(creation("a"))
            (row,) = await claimed(worker, 1)
            assert await worker.store.inbox("a") == []
            for number in range(8):
                await desk.commit(
                    Post("a", str(number), MessageKind.SIGNAL, "go", ev.Payload(b"b" + b"z" * 400_000), CLOCK.now_us())
                )
            messages = await worker.store.inbox("a")
            assert [message.id for message in messages] == [str(number) for number in range(8)]
            assert row.id == "a"

    run(scenario)
