"""Whatever a client says on its stream, the server goes on."""

from __future__ import annotations

import asyncio

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.durable.wire.services import SERVICES
from tests.wire.serving import serving
from tests.wire.test_frames_fuzzed import ANSWER_S, HERE, OURS, numbers, small, still_serves, texts

TALK = f"/{SERVICES['ClientService'].full_name}/Talk"
STARTS = st.builds(
    pb.StartWorkflowRequest, namespace=texts, workflow=texts | st.just("w"), version=texts,
    arguments=st.binary(max_size=4) | st.just(b"j[[],{}]"), id=texts, queue=texts, priority=small, share=texts,
    delay_us=numbers, singleton=st.none() | texts, debounce=st.booleans(), requires=st.lists(texts, max_size=2),
)  # fmt: skip
ITEMS = st.one_of(
    st.builds(pb.TalkFrame.Item, number=st.integers(0, 5), start=STARTS),
    st.builds(
        pb.TalkFrame.Item,
        number=st.integers(0, 5),
        wait=st.builds(
            pb.TalkFrame.Wait, id=texts, timeout_seconds=st.none() | st.floats() | st.sampled_from([0.0, 0.01])
        ),
    ),
    st.builds(pb.TalkFrame.Item, number=st.integers(0, 5)),
)
FRAMES = st.builds(
    pb.TalkFrame,
    namespace=texts | st.just("orders"),
    items=st.lists(ITEMS, max_size=3),
    forgotten=st.lists(st.integers(0, 5), max_size=2),
)


async def talk(address, frames):
    """Everything the server answers, and the status of the stream."""
    answers = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(TALK)()
        try:
            for frame in frames:
                await call.write(frame)
            async with asyncio.timeout(ANSWER_S):
                while (answer := await call.read()) is not grpc.aio.EOF:
                    answers += pb.TalkAnswers.FromString(answer).answers
        except TimeoutError:
            call.cancel()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return answers, (await call.code(), await call.details())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAMES.map(pb.TalkFrame.SerializeToString) | st.binary(max_size=40), min_size=1, max_size=3))
def test_no_talk_brings_a_server_down(frames):
    async def scenario():
        async with serving() as served:
            answers, (code, details) = await talk(served.address, frames)
            unexpected = [answer.failure.message for answer in answers if "unexpected" in answer.failure.message]
            assert unexpected == []
            assert code in OURS or details == HERE, details
            await still_serves(served)

    asyncio.run(scenario())
