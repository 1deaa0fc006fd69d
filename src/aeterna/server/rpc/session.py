"""The Session stream of one worker, from its hello to its end.

What comes is untrusted: a frame that makes no sense ends the stream with the reason, a write that makes none is refused
with its batch, and nothing of either disturbs other streams."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from aeterna.durable.engine.coordinator.attached import Attached, Held
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.engine.coordinator.sessions import LOST, Introduction
from aeterna.durable.stores.contract import CreateRun
from aeterna.durable.wire.convert import choice_from
from aeterna.durable.wire.frames import failure_to, writes_from
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.errors import AeternaError, SerializationError, UsageError
from aeterna.server.auth import Role
from aeterna.server.rpc.calls import answer_call
from aeterna.server.rpc.link import Link

log = logging.getLogger("aeterna.session")

TEXT_CHARS_MAX = 1_024
ABOUT_CHARS_MAX = 1_000_000
LEASE_US_MIN = 50_000
WRITE_S = 1.0
"""So long the last frame has to leave, where the worker does not read."""

Context = grpc.aio.ServicerContext[pb.WorkerFrame, pb.ServerFrame]


class SessionStream:
    """One stream."""

    def __init__(self, desk: NamespaceDesk, context: Context, role: Role) -> None:
        self._desk = desk
        self._role = role
        self._context = context
        self._link = Link()
        self._attached: Attached
        self._calls: set[asyncio.Future[None]] = set()

    async def serve(self, hello: pb.Hello, who: Introduction) -> None:
        """Until the worker says goodbye or its stream ends; raises `UsageError` for what makes no sense."""
        if not await self._attach(hello, who):
            self._link.tell(LOST)
            lost = await self._link.next_frame()
            assert lost is not None
            await self._context.write(lost)
            return
        reading = asyncio.ensure_future(self._read())
        writing = asyncio.ensure_future(self._write())
        try:
            await asyncio.wait([reading, writing], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            died = not self._attached.is_over
            self._link.close()
            await asyncio.shield(self._end(reading, writing, died=died))

    async def _end(self, reading: asyncio.Future[None], writing: asyncio.Future[None], *, died: bool) -> None:
        for call in (reading, *self._calls):
            call.cancel()
        # A frame that is on its way must have left before the stream can be ended.
        _, stuck = await asyncio.wait([writing], timeout=WRITE_S)
        for each in (writing, *stuck):
            each.cancel()
        await asyncio.wait([reading, writing, *self._calls])
        for each in (reading, writing):
            if not each.cancelled():
                # Taken note of: a stream that breaks is nobody's mistake.
                each.exception()
        await self._desk.detach(self._attached, died=died)

    async def _attach(self, hello: pb.Hello, who: Introduction) -> bool:
        sessions = self._desk.sessions
        if not hello.HasField("resume"):
            self._attached = await sessions.open(who, self._link)
        else:
            held = {run.key: Held(run.id, run.parent if run.HasField("parent") else None) for run in hello.held}
            resumed = await sessions.resume(hello.resume, held, who, self._link)
            if resumed is None:
                return False
            self._attached = resumed
            # What it had to give up waits for somebody else.
            self._desk.dispatch.look()
        self._link.welcome(self._attached.number, self._desk.store.description, self._attached.lease_us)
        return True

    async def _write(self) -> None:
        """Until the server leaves and everything is said, or the stream ends."""
        while (frame := await self._link.next_frame()) is not None:
            await self._context.write(frame)

    async def _read(self) -> None:
        """Until the stream ends."""
        while True:
            await self._link.may_read()
            frame = await read_frame(self._context)
            if frame is None:
                return
            self._receive(frame)

    def _receive(self, frame: pb.WorkerFrame) -> None:
        if frame.HasField("hello"):
            raise UsageError("a stream has one hello, in its first frame")
        for batch in frame.batches:
            self._submit(batch)
        for call in frame.calls:
            self._link.asked()
            task = asyncio.ensure_future(self._answer(call))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        for answer in frame.answers:
            self._link.answered(answer)
        if frame.HasField("credits"):
            self._credit(frame.credits)

    def _submit(self, batch: pb.Batch) -> None:
        link, number = self._link, batch.number
        link.asked()
        try:
            writes = writes_from(batch.writes, self._attached.number)
        except AeternaError as error:
            link.result(number, error)
            return
        for write in writes:
            if isinstance(write, CreateRun) and write.owner is None:
                self._desk.creator(write.id, self._attached)
        self._desk.committer.submit(writes, lambda answer: link.result(number, answer), self._attached.number)

    def _credit(self, credit: pb.Credits) -> None:
        attached = self._attached
        if attached.is_over:
            return
        if credit.HasField("choice"):
            attached.choice = choice_from(credit.choice)
        attached.room = max(0, credit.room - (self._link.delivered - credit.received))
        if attached.room:
            self._desk.dispatch.room_made()

    async def _answer(self, call: pb.Call) -> None:
        try:
            replies = await answer_call(self._desk, self._attached, self._role, call)
        except AeternaError as error:
            replies = [pb.Reply(number=call.number, failure=failure_to(error))]
        except Exception as error:
            # What one worker asks must not end its stream, and still less the server.
            log.exception("a call failed", extra={"action": "call_failed"})
            replies = [pb.Reply(number=call.number, failure=failure_to(error))]
        self._link.reply(replies)


def introduction(hello: pb.Hello, options: CoordinatorOptions) -> Introduction:
    """What the worker says of itself; raises `UsageError` for what cannot be."""
    for what, text in (("host", hello.host), ("name", hello.name)):
        if len(text) > TEXT_CHARS_MAX:
            raise UsageError(f"the worker's {what} has {len(text)} characters, the limit is {TEXT_CHARS_MAX}")
    if len(hello.about) > ABOUT_CHARS_MAX:
        raise UsageError(f"what the worker says of itself has {len(hello.about)} characters: say less")
    if not 0 <= hello.pid < 2**31:
        raise SerializationError(f"process id {hello.pid} cannot be")
    lease_us = min(max(hello.lease_us or options.lease_us, LEASE_US_MIN), options.lease_us_max)
    choice = choice_from(hello.choice)
    return Introduction(hello.host, hello.pid, hello.name, hello.about or "{}", lease_us, choice)


async def read_frame(context: Context) -> pb.WorkerFrame | None:
    """The next frame; None at the end. Raises `SerializationError` for bytes that are none."""
    try:
        frame: Any = await context.read()
    except DecodeError as error:
        raise SerializationError(f"a frame cannot be read: {error}") from None
    return None if frame is grpc.aio.EOF else frame
