"""The server's end of a worker's stream: what is to be sent, gathered into frames while the last one is on its way.

It is the `Outlet` of the worker's session. Everything that queued while a frame was being written goes with the next
one, so frames grow with the load, and nothing waits for a timer."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aeterna.durable.core.events import Payload
from aeterna.durable.engine.coordinator.attached import Delivery
from aeterna.durable.engine.coordinator.committer import Answer
from aeterna.durable.stores.contract import Notice, NoticeKind
from aeterna.durable.wire.convert import message_to, notice_to, row_to, segment_to
from aeterna.durable.wire.frames import failure_from, failure_to, result_to
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import AeternaError, StoreError

FRAME_BYTES = 2 * 1024 * 1024
"""A frame that holds so much is not added to."""
PIECE_BYTES = 1024 * 1024
"""A longer history is not sent along, but asked for, and comes in pieces."""
UNANSWERED_MAX = 256
FRAMES_MAX = 16
"""A worker that does not read is not listened to, either."""


class Link:
    """One stream."""

    def __init__(self) -> None:
        self._frames: deque[pb.ServerFrame] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._unanswered = 0
        self._numbers = itertools.count(1)
        self._queries: dict[int, asyncio.Future[Payload]] = {}
        self._is_leaving = False
        self._is_closed = False
        self.delivered = 0
        self.is_lost = False

    # What goes out.

    def welcome(self, session: int, description: str, lease_us: int) -> None:
        """The session is open."""
        welcome = pb.Welcome(session=session, description=description, lease_us=lease_us)
        self._frame(0).welcome.CopyFrom(welcome)

    def leave(self) -> None:
        """See `Outlet`: the stream ends once everything that was asked is answered and sent."""
        self._is_leaving = True
        self._wake.set()

    def deliver(self, delivery: Delivery) -> None:
        """See `Outlet`."""
        self.delivered += 1
        history = None
        size = 500 + sum(len(message.payload) + 100 for message in delivery.inbox)
        if delivery.history is not None:
            history = segment_to(tuple(delivery.history))
            if len(history.body) > PIECE_BYTES:
                history = None
            else:
                size += len(history.body)
        inbox = [message_to(message) for message in delivery.inbox]
        message = pb.Delivery(info=row_to(delivery.row), history=history, inbox=inbox)
        self._frame(size).deliveries.append(message)

    def tell(self, notice: Notice) -> None:
        """See `Outlet`."""
        if notice.kind is NoticeKind.LOST:
            self.is_lost = True
        self._frame(100).notices.append(notice_to(notice))

    def asks(self) -> Callable[[str, str, Payload], Awaitable[Payload]] | None:
        """See `Outlet`."""
        return None if self.is_lost else self._ask

    async def _ask(self, run_id: str, name: str, arguments: Payload) -> Payload:
        number = next(self._numbers)
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._queries[number] = future
        query = pb.Query(number=number, run_id=run_id, name=name, arguments=arguments)
        self._frame(len(arguments) + 100).queries.append(query)
        try:
            return await future
        finally:
            del self._queries[number]

    def reply(self, replies: Sequence[pb.Reply]) -> None:
        """The answer to a call, in pieces."""
        for reply in replies:
            self._frame(reply.ByteSize()).replies.append(reply)
        self._answered()

    def result(self, number: int, answer: Answer) -> None:
        """The answer to a batch."""
        if isinstance(answer, AeternaError):
            self._frame(200).results.append(pb.BatchResult(number=number, failure=failure_to(answer)))
        else:
            self._frame(16 * len(answer)).results.append(result_to(number, answer))
        self._answered()

    def _frame(self, size: int) -> pb.ServerFrame:
        """The frame that the next thing of that size is to be put into."""
        if not self._frames or self._bytes + size > FRAME_BYTES:
            self._frames.append(pb.ServerFrame())
            self._bytes = 0
        self._bytes += size
        self._wake.set()
        return self._frames[-1]

    async def next_frame(self) -> pb.ServerFrame | None:
        """Wait for something to send; None once there will be nothing more."""
        while not self._frames or self._is_closed:
            if self._is_closed or (self._is_leaving and not self._unanswered):
                return None
            self._wake.clear()
            await self._wake.wait()
        # What the same commit brings about for this worker otherwise comes one turn of the loop later, and a frame
        # costs
        # much more than a turn.
        await sleep(0)
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._judge()
        return frame

    # What comes in.

    def answered(self, answer: pb.QueryAnswer) -> None:
        """The worker's code has answered a query."""
        future = self._queries.get(answer.number)
        if future is None or future.done():
            return
        if answer.HasField("answer"):
            future.set_result(Payload(answer.answer))
        elif answer.HasField("failure"):
            future.set_exception(failure_from(answer.failure))

    def asked(self) -> None:
        """Something came that will be answered."""
        self._unanswered += 1
        self._judge()

    def _answered(self) -> None:
        self._unanswered -= 1
        self._judge()

    def _judge(self) -> None:
        if self._unanswered < UNANSWERED_MAX and len(self._frames) < FRAMES_MAX:
            self._may_read.set()
        else:
            self._may_read.clear()

    async def may_read(self) -> None:
        """Wait until the worker has taken enough of what it asked for."""
        await self._may_read.wait()

    def close(self) -> None:
        """The stream has ended: nothing more is sent, and who waits for the worker's answer hears it."""
        self.is_lost = self._is_closed = True
        self._wake.set()
        for future in self._queries.values():
            if not future.done():
                future.set_exception(StoreError("the worker that was asked has gone; ask again"))
