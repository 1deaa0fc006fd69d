"""A client's starts and waits, on one stream to whichever of a server's addresses answers.

What is said while a frame is on its way goes with the next one. When the stream breaks, what is not answered is said
again on the next: a start finds itself by its id, and a wait has no effect."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import grpc

from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.stores.remote.failures import AWAY, error_of
from aeterna.durable.stores.remote.unary import TRY_S
from aeterna.durable.wire.frames import error_named
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.durable.wire.services import Caller
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import AeternaError, StoreError

log = logging.getLogger("aeterna.remote")

ITEMS_PER_FRAME = 500
TRIES_EACH = 5
"""So often each address is tried before those who wait hear that the server is away."""
PAUSE_FIRST_S = 0.02
PAUSE_LONGEST_S = 0.5

Answer = pb.TalkAnswers.Answer


class Talking:
    """Connects when something is said, and stays connected until `close`."""

    def __init__(self, namespace: str, addresses: Sequence[str], credentials: Credentials) -> None:
        self._namespace = namespace
        self._addresses = itertools.cycle(addresses)
        self._tries = len(addresses) * TRIES_EACH
        self._credentials = credentials
        self._numbers = itertools.count(1)
        self._items: dict[int, tuple[pb.TalkFrame.Item, asyncio.Future[Answer]]] = {}
        self._unsaid: list[pb.TalkFrame.Item] = []
        self._forgotten: list[int] = []
        self._wake = asyncio.Event()
        self._try_s = TRY_S if len(addresses) > 1 else None
        self._call: Any = None
        self._given_up: Any = None
        self._main: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Who still waits for an answer hears it. Idempotent."""
        main, self._main = self._main, None
        if main is not None:
            main.cancel()
            await asyncio.wait([main])
        self._fail(StoreError("the connection to the server was closed"))

    async def ask(self, item: pb.TalkFrame.Item) -> Answer:
        """The answer; raises the error that it was at the server, and `StoreError` if no address answers."""
        loop = asyncio.get_running_loop()
        if self._main is None or self._main.done():
            self._main = loop.create_task(self._serve(), name="aeterna-talk")
        item.number = next(self._numbers)
        future: asyncio.Future[Answer] = loop.create_future()
        self._items[item.number] = (item, future)
        self._unsaid.append(item)
        self._wake.set()
        if self._try_s is not None and not item.HasField("wait"):
            loop.call_later(self._try_s, self._distrust, item.number)
        try:
            answer = await future
        except asyncio.CancelledError:
            if self._items.pop(item.number, None) is not None:
                self._forgotten.append(item.number)
                self._wake.set()
            raise
        if answer.HasField("failure"):
            failure = answer.failure
            if failure.kind == "TimeoutError":
                raise TimeoutError(failure.message)
            raise error_named(failure.kind, failure.message)
        return answer

    def _distrust(self, number: int) -> None:
        """The item is not answered yet: the server may hang, so another address is tried."""
        if number in self._items and self._call is not None:
            self._given_up = self._call
            self._call.cancel()

    async def _serve(self) -> None:
        pause_s = PAUSE_FIRST_S
        failures = 0
        while True:
            address = next(self._addresses)
            channel = self._credentials.channel(address)
            try:
                if await self._converse(channel):
                    failures, pause_s = 0, PAUSE_FIRST_S
            except grpc.aio.AioRpcError as failed:
                error = error_of(failed, address)
                failures += 1
                is_hopeless = failed.code() not in AWAY and failed.code() is not grpc.StatusCode.INTERNAL
                if is_hopeless or failures >= self._tries:
                    self._fail(error)
                    return
                log.info("%s", error, extra={"action": "server_away"})
            finally:
                await channel.close()
            if not self._items:
                # Nobody waits for anything: connect again when somebody does.
                return
            await sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_LONGEST_S)

    async def _converse(self, channel: grpc.aio.Channel) -> bool:
        """Until the stream ends; True if something was answered on it."""
        self._unsaid = [item for item, _ in self._items.values()]
        self._forgotten.clear()
        call = self._call = Caller(channel)("ClientService", "Talk")(metadata=self._credentials.metadata())
        writing = asyncio.ensure_future(self._write(call))
        was_answered = False
        try:
            while (frame := await call.read()) is not grpc.aio.EOF:
                was_answered = True
                for answer in frame.answers:
                    self._answered(answer)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if call is not self._given_up or (task is not None and task.cancelling()):
                raise
        finally:
            self._call = None
            writing.cancel()
            await asyncio.wait([writing])
            if not writing.cancelled():
                writing.exception()
            call.cancel()
        return was_answered

    async def _write(self, call: Any) -> None:
        frame = pb.TalkFrame(namespace=self._namespace)
        while True:
            while not self._unsaid and not self._forgotten:
                self._wake.clear()
                await self._wake.wait()
            frame.items.extend(self._unsaid[:ITEMS_PER_FRAME])
            del self._unsaid[:ITEMS_PER_FRAME]
            frame.forgotten.extend(self._forgotten)
            self._forgotten.clear()
            await call.write(frame)
            frame = pb.TalkFrame()

    def _answered(self, answer: Answer) -> None:
        known = self._items.get(answer.number)
        if known is None:
            return
        del self._items[answer.number]
        if not known[1].done():
            known[1].set_result(answer)

    def _fail(self, error: AeternaError | TimeoutError) -> None:
        items, self._items = self._items, {}
        self._unsaid.clear()
        for _, future in items.values():
            if not future.done():
                future.set_exception(error)
