"""Whatever comes on the wire, the server goes on, and nobody is told of a bug."""

from __future__ import annotations

import asyncio

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeterna.durable.core import events as ev
from aeterna.durable.core.segment import encode_segment
from aeterna.durable.stores.contract import Appended
from aeterna.durable.wire.generated import records_pb2
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.durable.wire.services import SERVICES
from tests.wire.serving import CLOCK, Worker, serving
from tests.wire.test_session import claimed, creation, start

SESSION = f"/{SERVICES['WorkerService'].full_name}/Session"
ANSWER_S = 0.3
OURS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
}

HERE = "Internal error from Core"
"""What the client says of itself when the stream ends while it writes."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 12)
small = st.integers(-(2**31), 2**31 - 1) | st.integers(-1, 6)
SEGMENTS = st.builds(
    records_pb2.Segment,
    count=st.integers(0, 3),
    body=st.binary(max_size=20)
    | st.just(encode_segment([ev.RunStarted(1, 1)]))
    | st.just(encode_segment([ev.RunCreated(1, "w", "1", ev.Payload(b"j[]"))])),
)
HEADS = st.builds(
    pb.Head, state=small, detail=texts | st.sampled_from(["leased", "queued", ""]), wake_us=st.none() | numbers,
    release=st.booleans(), note=texts,
)  # fmt: skip
CREATIONS = st.builds(
    pb.Creation, id=texts, workflow=texts, version=texts, state=small, detail=texts | st.just("queued"),
    is_owned=st.booleans(), events=SEGMENTS, parent=st.none() | texts, queue=texts, priority=small, share=texts,
    requires=st.lists(texts, max_size=2), wake_us=st.none() | numbers, singleton=st.none() | texts,
    debounce=st.booleans(),
)  # fmt: skip
WRITES = st.one_of(
    st.builds(
        lambda **fields: pb.Write(append=pb.Append(**fields)),
        key=numbers, epoch=numbers, first=numbers, events=SEGMENTS, at_us=numbers, head=st.none() | HEADS,
        consumed=st.lists(numbers, max_size=2), is_repeat=st.booleans(),
    ),
    CREATIONS.map(lambda create: pb.Write(create=create)),
    st.builds(
        lambda **fields: pb.Write(post=pb.Posting(**fields)),
        run_id=texts, id=texts, kind=small, name=texts, payload=st.binary(max_size=5), at_us=numbers,
    ),
    st.builds(
        lambda **fields: pb.Write(fire=pb.Firing(**fields)),
        schedule=texts, due_us=numbers, next_us=st.none() | numbers, run=st.none() | CREATIONS,
    ),
    st.just(pb.Write()),
)  # fmt: skip
CALLS = st.one_of(
    st.builds(pb.Call, renew_us=numbers),
    st.builds(pb.Call, get_run=texts),
    st.builds(pb.Call, history=st.builds(pb.HistoryCall, run_id=texts, start=numbers)),
    st.builds(pb.Call, claim_run=texts),
    st.builds(pb.Call, inbox=texts),
    st.builds(
        pb.Call,
        list_runs=st.builds(
            pb.ListCall, workflow=texts, states=st.lists(small, max_size=2), limit=small, before=st.none() | numbers
        ),
    ),
    st.builds(
        pb.Call,
        delete_runs=st.builds(
            pb.DeleteCall, ids=st.lists(texts, max_size=2), finished_before_us=st.none() | numbers, limit=small
        ),
    ),
    st.builds(pb.Call, count_runs=st.just(True)),
    st.builds(pb.Call, unread=st.just(True)),
    st.builds(pb.Call, list_queues=st.just(True)),
    st.builds(pb.Call, put_queue=st.builds(records_pb2.Queue, name=texts, concurrency=st.none() | numbers)),
    st.builds(pb.Call, put_schedule=st.builds(records_pb2.Schedule, id=texts, spec=texts, next_us=st.none() | numbers)),
    st.builds(pb.Call, announce=st.builds(records_pb2.Notice, kind=small, subject=texts)),
    st.just(pb.Call()),
)
HELLOS = st.builds(
    pb.Hello, namespace=texts, host=texts, pid=numbers, name=texts, about=texts, lease_us=numbers,
    resume=st.none() | st.integers(-2, 9),
    held=st.lists(st.builds(pb.Held, key=numbers, id=texts, parent=st.none() | texts), max_size=2),
)  # fmt: skip
FRAMES = st.builds(
    pb.WorkerFrame,
    hello=st.none() | HELLOS,
    batches=st.lists(
        st.builds(pb.Batch, number=st.integers(0, 2**64 - 1), writes=st.lists(WRITES, max_size=3)), max_size=2
    ),
    credits=st.none() | st.builds(pb.Credits, room=numbers, received=numbers),
    calls=st.lists(CALLS, max_size=2),
    answers=st.lists(st.builds(pb.QueryAnswer, number=st.integers(0, 3), answer=st.binary(max_size=3)), max_size=1),
)
GOOD_HELLO = pb.WorkerFrame(hello=pb.Hello(namespace="orders", host="fuzzer", pid=1, lease_us=1_000_000))
STREAMS = st.lists(FRAMES.map(pb.WorkerFrame.SerializeToString) | st.binary(max_size=60), min_size=1, max_size=4)


async def talk(address, frames):
    """Everything the server answers; the status of the stream."""
    answers = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(SESSION)()
        try:
            for frame in frames:
                await call.write(frame)
            async with asyncio.timeout(ANSWER_S):
                while (answer := await call.read()) is not grpc.aio.EOF:
                    answers.append(pb.ServerFrame.FromString(answer))
        except TimeoutError:
            call.cancel()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return answers, (await call.code(), await call.details())


async def still_serves(served):
    """A worker gets a run and writes it."""
    async with Worker(served) as worker:
        desk = await served.desk()
        run_id = f"good-{CLOCK.monotonic_us()}"
        await desk.commit(creation(run_id))
        rows = await claimed(worker, 1)
        while not any(row.id == run_id for row in rows):
            rows += await claimed(worker, 1)
        (row,) = [row for row in rows if row.id == run_id]
        assert await worker.store.commit([start(row)]) == [Appended()]


def bugs(answers):
    """Failures that say that something is wrong with the server."""
    failures = [result.failure for answer in answers for result in answer.results if result.HasField("failure")]
    failures += [reply.failure for answer in answers for reply in answer.replies if reply.HasField("failure")]
    return [failure for failure in failures if "unexpected" in failure.message]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STREAMS, st.booleans())
def test_no_frames_bring_a_server_down(frames, is_introduced):
    async def scenario():
        async with serving() as served:
            introduced = [GOOD_HELLO.SerializeToString()] if is_introduced else []
            answers, (code, details) = await talk(served.address, [*introduced, *frames])
            assert bugs(answers) == []
            assert code in OURS or details == HERE, details
            await still_serves(served)

    asyncio.run(scenario())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.builds(pb.Batch, number=st.just(7), writes=st.lists(WRITES, min_size=1, max_size=4)), max_size=4))
def test_every_batch_is_answered_once(batches):
    async def scenario():
        async with serving() as served:
            for number, batch in enumerate(batches):
                batch.number = number
            frame = pb.WorkerFrame(batches=batches).SerializeToString()
            answers, _ = await talk(served.address, [GOOD_HELLO.SerializeToString(), frame])
            assert bugs(answers) == []
            results = [result for answer in answers for result in answer.results]
            assert sorted(result.number for result in results) == list(range(len(batches)))
            for result in results:
                assert result.HasField("failure") or len(result.outcomes) == len(batches[result.number].writes)

    asyncio.run(scenario())
