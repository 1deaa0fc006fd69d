"""The worker's end of its Session stream: it is there, or it is being made again.

What is said on it and not answered when it breaks is said again on the next one, marked as a repeat, because the answer
may be what was lost. The server that the next one leads to goes on with the session, if that has not ended meanwhile;
if it has, the line is over and says so."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import grpc

from aeterna.durable.core.events import Payload
from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.stores.remote.failures import error_of, is_final
from aeterna.durable.stores.remote.unanswered import Unanswered
from aeterna.durable.wire.frames import failure_to
from aeterna.durable.wire.generated import records_pb2
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.durable.wire.services import Caller
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import AeternaError, SessionOverError, StoreError

log = logging.getLogger("aeterna.remote")

FRAME_BYTES = 4 * 1024 * 1024
"""A frame that holds so much is not added to."""
WELCOME_S = 5.0
FIRST_S = 10.0
"""So long a first connection is tried for."""
PATIENCE_S = 5.0
"""So long what is said waits for the next connection; then whoever said it hears that the server is away."""
PAUSE_FIRST_S = 0.02
OVER = "the session is over; what it held goes on elsewhere"
PAUSE_LONGEST_S = 1.0


class Listener(Protocol):
    """Who hears what the server says by itself; in plain callbacks of the loop or in the line's task."""

    def delivered(self, delivery: pb.Delivery) -> None:
        """A run is this session's now."""
        ...

    def noticed(self, notice: records_pb2.Notice) -> None:
        """Something happened; LOST is not among it (see `over`)."""
        ...

    def connected(self) -> None:
        """A stream stands; nothing is known of earlier ones there."""
        ...

    def over(self) -> None:
        """The session has ended."""
        ...

    def hello(self) -> pb.Hello:
        """How to introduce itself, without ``resume``."""
        ...

    def held(self) -> Sequence[pb.Held]:
        """The runs that it holds."""
        ...

    async def asked(self, query: pb.Query) -> Payload:
        """Answer a query; raises its error."""
        ...


class Line:
    """One session's."""

    def __init__(self, addresses: Sequence[str], credentials: Credentials, listener: Listener) -> None:
        self.session: int | None = None
        self.description = ""
        self.lease_us = 0
        self._addresses = itertools.cycle(addresses)
        self._address = next(self._addresses)
        self._count = len(addresses)
        self._credentials = credentials
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._frames: deque[pb.WorkerFrame] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._distrusted = asyncio.Event()
        self._unanswered = Unanswered()
        self._problem: AeternaError | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._is_over = False
        self.is_connected = False
        self._main: asyncio.Task[None] | None = None

    # Life.

    async def start(self) -> None:
        """Open the session; raises `StoreError` if no address answers in time, and what the server refuses it with."""
        opened: asyncio.Future[None] = self._loop.create_future()
        self._main = self._loop.create_task(self._serve(opened), name="aeterna-line")
        try:
            async with asyncio.timeout(FIRST_S):
                await opened
        except TimeoutError:
            await self.stop()
            raise StoreError(f"no server answers at {self._address}{self._why()}") from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Say nothing more; who still waits for an answer hears it. Idempotent."""
        main, self._main = self._main, None
        if main is not None:
            main.cancel()
            await asyncio.wait([main])
        self._end(StoreError("the connection to the server was closed"))

    @staticmethod
    def _is_refused(opened: asyncio.Future[None]) -> bool:
        return opened.done() and opened.exception() is not None

    def _why(self) -> str:
        return "" if self._problem is None else f": {self._problem}"

    def _end(self, error: StoreError) -> None:
        self._is_over = True
        self.is_connected = False
        self._unanswered.fail(error)

    async def _serve(self, opened: asyncio.Future[None]) -> None:
        pause_s = PAUSE_FIRST_S
        failures = 0
        while not self._is_over:
            channel = self._credentials.channel(self._address)
            try:
                await self._converse(channel, opened)
                failures, pause_s = 0, PAUSE_FIRST_S
            except grpc.aio.AioRpcError as failed:
                self._failed(failed, opened)
            except (grpc.aio.UsageError, TimeoutError) as error:
                self._problem = StoreError(f"server {self._address} does not answer: {error}")
            finally:
                self._disconnected()
                await channel.close()
            if self._is_refused(opened):
                return
            self._address = next(self._addresses)
            failures += 1
            if failures % self._count == 0:
                await sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_LONGEST_S)

    def _failed(self, failed: grpc.aio.AioRpcError, opened: asyncio.Future[None]) -> None:
        error = error_of(failed, self._address)
        if opened.done() or not isinstance(error, AeternaError):
            # Once it was open, whatever the server says, it is a store that cannot be reached.
            error = StoreError(str(error))
        self._problem = error
        log.warning("%s", self._problem, extra={"action": "server_away"})
        if not opened.done() and is_final(failed):
            opened.set_exception(error)

    async def _converse(self, channel: grpc.aio.Channel, opened: asyncio.Future[None]) -> None:
        """Until the stream ends, or fails."""
        call = Caller(channel)("WorkerService", "Session")(metadata=self._credentials.metadata())
        try:
            async with asyncio.timeout(WELCOME_S):
                if not await self._is_welcome(call):
                    return
            self._say_again()
            if not opened.done():
                opened.set_result(None)
            self._listener.connected()
            await self._talk(call)
        finally:
            call.cancel()

    async def _is_welcome(self, call: Any) -> bool:
        hello = self._listener.hello()
        if self.session is not None:
            hello.resume = self.session
            hello.held.extend(self._listener.held())
        await call.write(pb.WorkerFrame(hello=hello))
        frame = await call.read()
        if frame is grpc.aio.EOF:
            raise TimeoutError("it ended the stream without a word")
        if not frame.HasField("welcome"):
            self._lost()
            return False
        self.session = frame.welcome.session
        self.description = frame.welcome.description
        self.lease_us = frame.welcome.lease_us
        self.is_connected = True
        self._problem = None
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        # What came with the welcome belongs to this stream already.
        self._loop.call_soon(self._hear, frame)
        return True

    async def _talk(self, call: Any) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(call))
                group.create_task(self._end_if_distrusted())
                while (frame := await call.read()) is not grpc.aio.EOF:
                    self._hear(frame)
                    for query in frame.queries:
                        group.create_task(self._answer(query))
                    if self._is_over:
                        break
                raise _Ended
        except* _Ended:
            pass
        except* (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as failures:
            log.info("the stream ended: %s", failures.exceptions[0], extra={"action": "stream_ended"})

    async def _end_if_distrusted(self) -> None:
        self._distrusted.clear()
        await self._distrusted.wait()
        raise _Ended

    async def _write(self, call: Any) -> None:
        while True:
            while not self._frames:
                self._wake.clear()
                await self._wake.wait()
            frame = self._frames.popleft()
            self._unanswered.sent(frame)
            await call.write(frame)

    def _disconnected(self) -> None:
        if not self.is_connected:
            return
        self.is_connected = False
        self._frames.clear()
        self._bytes = 0
        self._unanswered.fail_calls(StoreError(f"the connection to server {self._address} broke; ask again"))
        if not self._is_over:
            self._giving_up = self._loop.call_later(PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        self._giving_up = None
        self._unanswered.fail(self._problem or StoreError(f"server {self._address} is away"))

    # What the server says.

    def _hear(self, frame: pb.ServerFrame) -> None:
        self._unanswered.heard(frame)
        for delivery in frame.deliveries:
            self._listener.delivered(delivery)
        for notice in frame.notices:
            if notice.kind == records_pb2.NOTICE_KIND_LOST:
                self._lost()
            else:
                self._listener.noticed(notice)

    def _lost(self) -> None:
        if not self._is_over:
            self._end(SessionOverError(OVER))
            self._listener.over()

    async def _answer(self, query: pb.Query) -> None:
        try:
            answer = pb.QueryAnswer(number=query.number, answer=await self._listener.asked(query))
        except AeternaError as error:
            answer = pb.QueryAnswer(number=query.number, failure=failure_to(error))
        self._frame(answer.ByteSize()).answers.append(answer)

    # What the worker says.

    async def batch(self, writes: Sequence[pb.Write]) -> tuple[pb.BatchResult, bool]:
        """Have the writes carried out; returns the answer, and whether they were said twice.

        Raises `StoreError` if the server is away for too long, or the session is over: they may have been carried out
        all the same."""
        self._require()
        batch = self._unanswered.batch(pb.Batch(number=next(self._numbers), writes=writes))
        if self.is_connected:
            self._frame(batch.size).batches.append(batch.message)
        return await batch.future, batch.was_repeated

    async def call(self, call: pb.Call) -> list[pb.Reply]:
        """Ask something; the answer in pieces. Raises its error, and `StoreError` at once if the server is away."""
        self._require()
        if not self.is_connected:
            raise self._problem or StoreError(f"server {self._address} is away")
        call.number = next(self._numbers)
        replies = self._unanswered.call(call.number)
        self._frame(call.ByteSize()).calls.append(call)
        return await replies

    def say(self, call: pb.Call) -> None:
        """A call whose answer does not matter."""
        if self.is_connected:
            call.number = next(self._numbers)
            self._frame(call.ByteSize()).calls.append(call)

    def credit(self, credit: pb.Credits) -> None:
        """How much room there is; the last word counts."""
        if self.is_connected:
            self._frame(16).credits.CopyFrom(credit)

    def distrust(self) -> StoreError:
        """The server does not answer though its stream stands: try the next address. Returns what can be said of it."""
        self._problem = StoreError(f"server {self._address} is silent")
        log.warning("%s", self._problem, extra={"action": "server_silent"})
        self._distrusted.set()
        return self._problem

    def _say_again(self) -> None:
        for batch in self._unanswered.again():
            self._frame(batch.size).batches.append(batch.message)

    def _frame(self, size: int) -> pb.WorkerFrame:
        if not self._frames or self._bytes + size > FRAME_BYTES:
            self._frames.append(pb.WorkerFrame())
            self._bytes = 0
        self._bytes += size
        self._wake.set()
        return self._frames[-1]

    def _require(self) -> None:
        if self._is_over:
            raise SessionOverError(OVER)
        if self._problem is not None and self._giving_up is None and not self.is_connected:
            raise self._problem


class _Ended(Exception):  # noqa: N818 - ends the group, and is no error
    """The stream has ended, or is given up."""
