"""What a client of a server can do, over real calls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
import trustme

from aeterna.durable.core import events as ev
from aeterna.durable.core.schedule import ScheduleSpec
from aeterna.durable.core.states import State
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.fork import fork, position_of_step
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.query import query
from aeterna.durable.operations.queues import list_queues, pause_queue, put_queue
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.schedules import (
    backfill_schedule,
    delete_schedule,
    list_schedules,
    pause_schedule,
    put_schedule,
    trigger_schedule,
)
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.start import StartRequest
from aeterna.durable.operations.start import start as start_run
from aeterna.durable.operations.terminate import terminate
from aeterna.durable.operations.why import why
from aeterna.durable.stores.contract import MessageKind, Notice, NoticeKind, QueueRow, RunQuery
from aeterna.durable.stores.remote.client import RemoteWorld
from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.stores.remote.store import RemoteStore
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import (
    ConfigurationError,
    InvalidStateError,
    RunNotFoundError,
    StoreError,
    UsageError,
    WorkflowIdConflictError,
)
from aeterna.server.auth import ANYBODY
from tests.wire.serving import CLOCK, Serving, Worker, serving
from tests.wire.test_session import claimed, end, start, step

NOTHING = ev.Payload(b"j[[],{}]")
DAY_US = 86_400_000_000


def request(run_id, workflow="w", **how):
    return StartRequest(run_id, workflow, "1", NOTHING, **how)


@asynccontextmanager
async def world_of(*addresses, credentials=None):
    world = RemoteWorld("orders", addresses, credentials)
    await world.open()
    try:
        yield world
    finally:
        await world.close()


def run(scenario):
    async def bounded():
        async with asyncio.timeout(60), serving() as served, world_of(served.address) as world:
            await scenario(served, world)

    asyncio.run(bounded())


async def work_off(worker, count=1):
    for row in await claimed(worker, count):
        await worker.store.commit([start(row), end(row, row.length + 1)])


def test_starting_and_waiting():
    async def scenario(served, world):
        async with Worker(served) as worker:
            replies = await asyncio.gather(*(start_run(world, request(f"r{number}")) for number in range(50)))
            assert all(reply.is_new for reply in replies)
            assert not (await start_run(world, request("r1"))).is_new
            with pytest.raises(WorkflowIdConflictError):
                await start_run(world, request("r1", "other"))
            waits = [asyncio.ensure_future(await_result(world, f"r{number}")) for number in range(50)]
            await work_off(worker, 50)
            assert {run.result for run in await asyncio.gather(*waits)} == {b"j1"}
            with pytest.raises(RunNotFoundError):
                await await_result(world, "nobody", 5)
            await start_run(world, request("late", delay_us=DAY_US))
            with pytest.raises(TimeoutError, match="it goes on"):
                await await_result(world, "late", 0.05)
            for nonsense in (float("nan"), float("inf"), -1.0):
                with pytest.raises(UsageError, match="timeout_seconds"):
                    wait = pb.TalkFrame.Wait(id="late", timeout_seconds=nonsense)
                    await world._talking.ask(pb.TalkFrame.Item(wait=wait))
            wait = pb.TalkFrame.Wait(id="late", timeout_seconds=0.05)
            with pytest.raises(TimeoutError):
                await world._talking.ask(pb.TalkFrame.Item(wait=wait))
            forgotten = asyncio.ensure_future(await_result(world, "late"))
            await sleep(0.05)
            forgotten.cancel()
            with pytest.raises(asyncio.CancelledError):
                await forgotten
            assert await world.store.count_runs() == {State.COMPLETED: 50, State.PENDING: 1}

    run(scenario)


def test_messages_and_ends():
    async def scenario(served, world):
        async with Worker(served) as worker:
            await start_run(world, request("a"))
            (row,) = await claimed(worker, 1)
            await worker.store.commit([start(row)])
            assert await signal(world, "a", "go", ev.Payload(b"j1"), "one")
            assert not await signal(world, "a", "go", ev.Payload(b"j1"), "one")
            await pause(world, "a", "wait")
            await resume(world, "a")
            assert await cancel(world, "a", "enough")
            kinds = [message.kind for message in await worker.store.inbox("a")]
            assert kinds[:3] == [MessageKind.SIGNAL, MessageKind.PAUSE, MessageKind.RESUME]
            assert MessageKind.CANCEL in kinds
            assert (await why(world, "a")).text
            await terminate(world, "a", "now")
            assert (await await_result(world, "a", 5)).state is State.CANCELLED
            with pytest.raises(InvalidStateError):
                await signal(world, "a", "go", ev.Payload(b"j1"))
            with pytest.raises(RunNotFoundError):
                await pause(world, "nobody")

    run(scenario)


def test_a_fork_and_its_history():
    async def scenario(served, world):
        async with Worker(served) as worker:
            await start_run(world, request("a"))
            (row,) = await claimed(worker, 1)
            await worker.store.commit([start(row), step(row, 2, "first"), step(row, 3, "second"), end(row, 4)])
            forked = await fork(world, "a", 3)
            names = [event.name for event in await world.store.history(forked) if isinstance(event, ev.StepCompleted)]
            assert names == ["first"]
            assert await position_of_step(world, "a", "second") == 3
            with pytest.raises(UsageError, match="there are 'first', 'second'"):
                await position_of_step(world, "a", "third")
            assert await world.store.history("nobody") == []
            assert [type(event) for event in await world.store.history("a", 4)] == [ev.RunCompleted]

    run(scenario)


def test_a_query_is_answered_by_the_worker_that_has_the_code():
    async def scenario(served, world):
        async with Worker(served) as worker:
            asked = []

            async def answer(run_id, name, arguments):
                asked.append((run_id, name, arguments))
                if name == "wrong":
                    raise UsageError("there is no query 'wrong'")
                return ev.Payload(b'j"here"')

            await start_run(world, request("a"))
            (row,) = await claimed(worker, 1)
            with pytest.raises(UsageError, match="answers no queries"):
                await query(world, "a", "where", NOTHING)
            worker.store.on_query = answer
            assert await query(world, "a", "where", NOTHING) == b'j"here"'
            assert asked == [("a", "where", NOTHING)]
            with pytest.raises(UsageError, match="no query 'wrong'"):
                await query(world, "a", "wrong", NOTHING)
            with pytest.raises(RunNotFoundError):
                await query(world, "nobody", "where", NOTHING)
            assert row.id == "a"
        with pytest.raises(UsageError, match="only its code can answer"):
            await query(world, "a", "where", NOTHING)

    run(scenario)


def test_lists():
    async def scenario(served, world):
        for number in range(7):
            await start_run(world, request(f"r{number}"))
        page = await world.store.list_runs(RunQuery(limit=3, workflow="w", states=(State.PENDING,)))
        assert [row.id for row in page.rows] == ["r6", "r5", "r4"]
        page = await world.store.list_runs(RunQuery(limit=5, before=page.next))
        assert [row.id for row in page.rows] == ["r3", "r2", "r1", "r0"]
        assert page.next is None
        assert (await world.store.get_run("r1")).workflow == "w"
        assert await world.store.get_run("nobody") is None
        async with Worker(served, "somebody") as worker:
            assert "somebody" in {session.name for session in await world.store.list_sessions()}
            assert "somebody" in {session.name for session in await worker.store.list_sessions()}
            page = await worker.store.list_runs(RunQuery(limit=3))
            assert [row.id for row in page.rows] == ["r6", "r5", "r4"]
            await terminate(world, "r1", "")
            assert await worker.store.delete_runs(["r1", "r2"]) == 1
            await terminate(world, "r2", "")
            assert await world.store.delete_runs(["r2"]) == 1
            await terminate(world, "r3", "")
            assert await world.store.delete_finished(CLOCK.now_us() + 1, 10) == 1
            assert await worker.store.delete_finished(CLOCK.now_us() + 1, 10) == 0

    run(scenario)


def test_queues_and_schedules():
    async def scenario(served, world):
        await put_queue(world, QueueRow("mail", concurrency=1))
        await pause_queue(world, "mail")
        (state,) = await list_queues(world)
        assert (state.queue.concurrency, state.queue.is_paused) == (1, True)
        await put_queue(world, QueueRow("mail", concurrency=1))
        spec = ScheduleSpec(workflow="w", every_us=DAY_US, arguments=NOTHING)
        await put_schedule(world, "daily", spec)
        await pause_schedule(world, "daily")
        (schedule,) = await list_schedules(world)
        assert (schedule.row.id, schedule.row.is_paused, schedule.spec.workflow) == ("daily", True, "w")
        assert (await world.store.get_run(await trigger_schedule(world, "daily"))).workflow == "w"
        now_us = CLOCK.now_us()
        assert (await backfill_schedule(world, "daily", now_us - 3 * DAY_US, now_us)).startswith("daily~")
        assert await delete_schedule(world, "daily")
        assert await world.store.next_schedule() is None or await world.store.next_schedule() > 0
        async with Worker(served) as worker:
            await worker.store.put_queue(QueueRow("post", rate=3))
            assert {found.queue.name for found in await worker.store.list_queues()} == {"mail", "post"}
            assert await worker.store.delete_queue("post")
            assert not await world.store.delete_queue("post")
            for row in await worker.store.list_schedules():
                assert await worker.store.delete_schedule(row.id)
            assert await worker.store.next_schedule() is None
            worker.store.notify([Notice(NoticeKind.SCHEDULES, "daily")])

    run(scenario)


def test_a_queue_with_one_place_starts_one_run_after_the_other():
    async def scenario(served, world):
        await put_queue(world, QueueRow("mail", concurrency=1))
        for name in "abc":
            await start_run(world, request(name, queue="mail"))
        async with Worker(served) as worker:
            order = []
            for _ in range(3):
                (row,) = await claimed(worker, 1)
                order.append(row.id)
                assert await worker.store.claim(worker.session, CLOCK.now_us(), 10) == []
                await worker.store.commit([start(row), end(row, row.length + 1)])
            assert order == ["a", "b", "c"]

    run(scenario)


def test_any_of_several_addresses_answers():
    async def scenario():
        nobody = Serving()
        await nobody.start()
        await nobody.stop()
        async with serving() as served, world_of(nobody.address, served.address) as world:
            assert (await start_run(world, request("a"))).is_new
            assert (await world.store.get_run("a")).id == "a"
            store = RemoteStore("orders", [nobody.address, served.address])
            await store.open()
            assert await store.open_session(CLOCK.now_us(), "here", 1) > 0
            assert store.lease_us == served.options.lease_us
            await store.close_session(99, 0)
            await store.close()
            with pytest.raises(StoreError, match="not open"):
                await store.get_run("a")

    asyncio.run(scenario())


def test_a_server_that_is_away_is_named():
    async def scenario():
        nobody = Serving()
        await nobody.start()
        await nobody.stop()
        async with world_of(nobody.address) as world:
            with pytest.raises(StoreError, match=nobody.address):
                await start_run(world, request("a"))
            with pytest.raises(StoreError, match=nobody.address):
                await world.store.get_run("a")

    asyncio.run(scenario())


def test_a_server_that_wants_a_token_over_tls(tmp_path):
    authority = trustme.CA()
    theirs = authority.issue_cert("127.0.0.1")
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    key, chain = theirs.private_key_pem.bytes(), b"".join(pem.bytes() for pem in theirs.cert_chain_pems)
    said = []

    async def admit(context, namespace, role):
        token = dict(context.invocation_metadata()).get("authorization")
        said.append((token, namespace, role))
        if token != "Bearer sesame":
            raise UsageError("who are you?")
        return ANYBODY

    async def scenario():
        served = Serving()
        served.admit = admit
        served.secrets = grpc.ssl_server_credentials([(key, chain)])
        await served.start()
        good = Credentials("sesame", is_encrypted=True, ca=str(ca))
        bad = Credentials("open", is_encrypted=True, ca=str(ca))
        async with world_of(served.address, credentials=good) as world:
            assert (await start_run(world, request("a"))).is_new
        store = RemoteStore("orders", [served.address], good)
        assert await store.open_session(CLOCK.now_us(), "here", 1)
        await store.close()
        refused = RemoteStore("orders", [served.address], bad)
        with pytest.raises(UsageError, match="who are you"):
            await refused.open_session(CLOCK.now_us(), "here", 1)
        async with world_of(served.address, credentials=bad) as world:
            with pytest.raises(UsageError, match="who are you"):
                await start_run(world, request("b"))
        await served.stop()
        assert {role for _, _, role in said} == {"client", "worker"}

    asyncio.run(scenario())
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Credentials(is_encrypted=True, ca=str(tmp_path / "none.pem")).channel("127.0.0.1:1")
