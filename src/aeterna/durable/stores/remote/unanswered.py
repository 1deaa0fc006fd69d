"""What was said on a session's line and has no answer yet: batches of writes, and calls.

Batches outlive the stream they were said on, because they are said again on the next one; calls do not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aeterna.durable.wire.frames import failure_from
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.errors import AeternaError


class UnansweredBatch:
    """``was_sent``: perhaps it was carried out; ``was_repeated``: it was said again, so that its outcomes may be those
    of the first time."""

    __slots__ = ("future", "message", "size", "was_repeated", "was_sent")

    def __init__(self, message: pb.Batch) -> None:
        self.message = message
        self.future: asyncio.Future[pb.BatchResult] = asyncio.get_running_loop().create_future()
        self.size = message.ByteSize()
        self.was_sent = False
        self.was_repeated = False


class Unanswered:
    """Of one line."""

    def __init__(self) -> None:
        self._batches: dict[int, UnansweredBatch] = {}
        self._calls: dict[int, tuple[asyncio.Future[list[pb.Reply]], list[pb.Reply]]] = {}

    def batch(self, message: pb.Batch) -> UnansweredBatch:
        """A batch that is about to be said."""
        batch = self._batches[message.number] = UnansweredBatch(message)
        return batch

    def call(self, number: int) -> asyncio.Future[list[pb.Reply]]:
        """A call that is about to be made; the future has all pieces of its answer, or the error."""
        future: asyncio.Future[list[pb.Reply]] = asyncio.get_running_loop().create_future()
        self._calls[number] = (future, [])
        return future

    def sent(self, frame: pb.WorkerFrame) -> None:
        """The frame is on its way."""
        for said in frame.batches:
            batch = self._batches.get(said.number)
            if batch is not None:
                batch.was_sent = True

    def again(self) -> Iterator[UnansweredBatch]:
        """The batches to be said on a new stream, those that were said before marked as repeats."""
        for batch in self._batches.values():
            if batch.was_sent:
                batch.was_repeated = True
                for write in batch.message.writes:
                    if write.HasField("append"):
                        write.append.is_repeat = True
            yield batch

    def heard(self, frame: pb.ServerFrame) -> None:
        """Take the answers out of what the server says."""
        for result in frame.results:
            batch = self._batches.pop(result.number, None)
            if batch is not None and not batch.future.done():
                batch.future.set_result(result)
        for reply in frame.replies:
            self._replied(reply)

    def _replied(self, reply: pb.Reply) -> None:
        waiting = self._calls.get(reply.number)
        if waiting is None:
            return
        future, pieces = waiting
        pieces.append(reply)
        if reply.has_more:
            return
        del self._calls[reply.number]
        if future.done():
            return
        if reply.HasField("failure"):
            future.set_exception(failure_from(reply.failure))
        else:
            future.set_result(pieces)

    def fail(self, error: AeternaError) -> None:
        """Nothing will be answered any more."""
        batches, self._batches = self._batches, {}
        for batch in batches.values():
            if not batch.future.done():
                batch.future.set_exception(error)
        self.fail_calls(error)

    def fail_calls(self, error: AeternaError) -> None:
        """The stream has ended on which the calls were made."""
        calls, self._calls = self._calls, {}
        for future, _ in calls.values():
            if not future.done():
                future.set_exception(error)
