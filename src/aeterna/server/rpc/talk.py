"""Starts and waits of one client on one stream.

What came in one frame is begun together, so that starts share a commit, and what was answered while a frame was on its
way goes with the next one: a call for each costs ten times as much."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.start import start
from aeterna.durable.wire.convert import STATES, error_to
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import AeternaError, SerializationError, UsageError
from aeterna.kernel.ids import check_run_id
from aeterna.server.rpc.client import ClientService, start_request
from aeterna.server.rpc.failing import abort
from aeterna.server.rpc.serving import DEFAULT_NAMESPACE, Context

log = logging.getLogger("aeterna.rpc")

UNANSWERED_MAX = 10_000
"""So many starts and waits one stream has under way; it is not read until some are answered."""
ANSWERS_PER_FRAME = 1_000
WRITE_S = 1.0
TIMEOUT_S_MAX = 1e8


class TalkingClientService(ClientService):
    """`ClientService` with its stream."""

    async def Talk(self, _: object, context: Context) -> None:  # noqa: N802 - named as in the proto
        """See `Talk`."""
        try:
            frame = await _read(context)
            if frame is None:
                return
            await self.let_in(context, frame.namespace, "talk")
            await Talk(await self._desk_for(frame), context).serve(frame)
        except AeternaError as error:
            await abort(context, error)

    async def _desk_for(self, frame: pb.TalkFrame) -> NamespaceDesk:
        """A start makes the namespace that it names; one that is refused, and a wait, make nothing."""
        name = frame.namespace or DEFAULT_NAMESPACE
        starts = [item.start for item in frame.items if item.WhichOneof("item") == "start"]
        if name in self.coordinator.desks or not starts:
            return await self.coordinator.existing(name)
        start_request(starts[0], self.payload_bytes_max)
        return await self.made_desk(name)


class Talk:
    """One stream."""

    def __init__(self, desk: NamespaceDesk, context: Context) -> None:
        self._desk = desk
        self._context = context
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._answers: list[pb.TalkAnswers.Answer] = []
        self._wake = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_over = False

    async def serve(self, first: pb.TalkFrame) -> None:
        """Until the client ends the stream; raises `UsageError` for what makes no sense."""
        reading = asyncio.ensure_future(self._read(first))
        writing = asyncio.ensure_future(self._write())
        leaving = asyncio.ensure_future(self._desk.leaving.wait())
        try:
            await asyncio.wait([reading, writing, leaving], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            elif leaving.done() and self._tasks:
                # Nothing new is listened to; what is under way is answered, and the client goes elsewhere.
                reading.cancel()
                await asyncio.wait(self._tasks.values(), timeout=WRITE_S)
        finally:
            self._is_over = True
            self._wake.set()
            tasks = [reading, leaving, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            # A frame that is on its way must have left before the stream can be ended.
            await asyncio.wait([writing], timeout=WRITE_S)
            writing.cancel()
            await asyncio.wait([writing, *tasks])
            for each in (reading, writing):
                if not each.cancelled():
                    each.exception()

    async def _read(self, first: pb.TalkFrame) -> None:
        frame: pb.TalkFrame | None = first
        while frame is not None:
            for item in frame.items:
                self._begin(item)
            for number in frame.forgotten:
                task = self._tasks.get(number)
                if task is not None:
                    task.cancel()
            await self._has_room.wait()
            frame = await _read(self._context)

    def _begin(self, item: pb.TalkFrame.Item) -> None:
        if item.number in self._tasks:
            raise UsageError(f"number {item.number} is given to something that is not answered yet")
        task = asyncio.ensure_future(self._answer(item))
        self._tasks[item.number] = task
        task.add_done_callback(lambda _: self._done(item.number))
        if len(self._tasks) >= UNANSWERED_MAX:
            self._has_room.clear()

    def _done(self, number: int) -> None:
        del self._tasks[number]
        if len(self._tasks) < UNANSWERED_MAX:
            self._has_room.set()

    async def _answer(self, item: pb.TalkFrame.Item) -> None:
        answer = pb.TalkAnswers.Answer(number=item.number)
        try:
            await self._carry_out(item, answer)
        except (AeternaError, TimeoutError) as error:
            kind = "TimeoutError" if isinstance(error, TimeoutError) else type(error).__name__
            answer.failure.CopyFrom(pb.TalkAnswers.Failure(kind=kind, message=str(error)))
        except Exception as error:
            # What one item does must not end the stream of the others.
            log.exception("an item of a talk failed", extra={"action": "talk_failed"})
            answer.failure.CopyFrom(pb.TalkAnswers.Failure(kind="InvariantError", message=f"unexpected: {error!r}"))
        self._answers.append(answer)
        self._wake.set()

    async def _carry_out(self, item: pb.TalkFrame.Item, answer: pb.TalkAnswers.Answer) -> None:
        desk = self._desk
        match item.WhichOneof("item"):
            case "start":
                reply = await start(desk, start_request(item.start, desk.limits.payload_bytes_max))
                answer.started.id, answer.started.created = reply.id, reply.is_new
            case "wait":
                wait = item.wait
                timeout_s = wait.timeout_seconds if wait.HasField("timeout_seconds") else None
                if timeout_s is not None and not 0 <= timeout_s <= TIMEOUT_S_MAX:
                    raise UsageError(f"timeout_seconds is 0 to {TIMEOUT_S_MAX:.0f}, or absent; not {timeout_s}")
                run = await await_result(desk, check_run_id(wait.id), timeout_s)
                assert run.state is not None
                answer.ended.CopyFrom(
                    pb.WorkflowResult(
                        id=wait.id,
                        state=STATES[run.state],
                        result=run.result,
                        error=None if run.error is None else error_to(run.error),
                        cancel_reason=run.cancel_reason,
                        workflow=run.workflow,
                        version=run.version,
                    )
                )
            case _:
                raise SerializationError("an item is empty, or of a kind that this release does not know")

    async def _write(self) -> None:
        while True:
            while not self._answers:
                if self._is_over:
                    return
                self._wake.clear()
                await self._wake.wait()
                # What the same commit answers otherwise comes one turn of the loop later.
                await sleep(0)
            answers = self._answers[:ANSWERS_PER_FRAME]
            del self._answers[: len(answers)]
            await self._context.write(pb.TalkAnswers(answers=answers))


async def _read(context: Context) -> pb.TalkFrame | None:
    try:
        frame: Any = await context.read()
    except DecodeError as error:
        raise SerializationError(f"a frame cannot be read: {error}") from None
    return None if frame is grpc.aio.EOF else frame
