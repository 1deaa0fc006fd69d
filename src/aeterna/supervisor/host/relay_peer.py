"""One process at the other end of an SRP connection, as the relay sees it: frames out, answers in, never blocking.

Knows no handover. A conversation is one question and its answers, one at a time; what a peer says unasked is told to
the relay, and what it says when nobody listens is dropped. A peer that sends what is no frame, or ends, ends its
conversation with a `RelayError`. Whatever it does, it holds no more of this process than the limits here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aeterna.handover import frames
from aeterna.handover.channel import Arrival, Inbox, rights_of
from aeterna.handover.frames import Flags, FrameError, Kind
from aeterna.supervisor.host.relay_claims import Declared, Hello
from aeterna.supervisor.host.relay_faults import RelayError, RelayFault

_CREDENTIALS = struct.Struct("3i")
_UNSENT_BYTES_MAX = 4 * 1024 * 1024
"""What is sent and not read: who sends more waits until it is read."""
_KERNEL_BYTES = 1024 * 1024
"""What the kernel takes at once: with its usual 200 KiB a state in chunks goes back and forth between two processes."""
_UNREAD_ANSWERS_MAX = 64
"""Answers that nobody has taken yet: with more, the peer's socket is not read."""
_UNASKED = frozenset({Kind.HELLO, Kind.PING})
_TEXT_CHARS_MAX = 2_000


class PeerOwner(Protocol):
    """Who hears of what a peer does by itself. Neither method raises."""

    def on_unasked(self, peer: Peer, arrival: Arrival) -> None:
        """It says something that is no answer; its descriptor is closed afterwards."""
        ...

    def on_end(self, peer: Peer) -> None:
        """Its connection has ended."""
        ...


class Peer:
    """A connection. ``hello``: what the process last said of itself, None before its first word."""

    def __init__(self, sock: socket.socket, owner: PeerOwner) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        self._sock = sock
        self._owner = owner
        self._inbox = Inbox()
        self._unsent: deque[tuple[memoryview, int]] = deque()
        self._unsent_bytes = 0
        self._answers: asyncio.Queue[Arrival | RelayError] = asyncio.Queue()
        self._is_asking = asyncio.Lock()
        self._is_reading = True
        self._end: RelayError | None = None
        self._loop = asyncio.get_running_loop()
        self.pid, self.uid, _ = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        self.hello: Hello | None = None
        self.hello_count = 0
        self.late_count = 0
        self._question = 0
        self._has_sent = asyncio.Event()
        self._loop.add_reader(sock.fileno(), self._read)

    @property
    def is_open(self) -> bool:
        return self._end is None

    @property
    def takes_fds(self) -> bool:
        """Whether descriptors can be sent to it."""
        return self.hello is not None and self.hello.fds

    @property
    def parts(self) -> dict[str, Declared]:
        """The parts of the state it has declared, by name."""
        return {each.part: each for each in self.hello.parts} if self.hello is not None else {}

    # --- conversations -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def conversation(self, timeout_ms: int, about: str) -> AsyncIterator[None]:
        """Have the peer's answers for oneself. Raises `RelayError` when the time is over."""
        try:
            async with asyncio.timeout(timeout_ms / 1000), self._is_asking:
                self._question += 1
                if self._end is not None:
                    raise self._end
                try:
                    yield
                finally:
                    self._forget_answers()
        except TimeoutError as error:
            raise RelayError(RelayFault.TIMEOUT, f"{about} took longer than {timeout_ms} ms") from error

    def send(self, kind: Kind, body: dict[str, Any], fd: int = -1) -> None:
        """Send a frame; a descriptor stays the caller's. Raises `RelayError` if the peer is gone or does not read."""
        flags = Flags.HAS_FD if fd >= 0 else Flags.NONE
        self._put(frames.encode_json(kind, {**body, "re": self._question}, flags), fd)

    def tell(self, kind: Kind, body: dict[str, Any]) -> None:
        """Send a frame whose answer nobody waits for. Frames are obeyed in order, so the answer to a later one says
        that this one was obeyed. Raises `RelayError` as `send`."""
        self._put(frames.encode_json(kind, {**body, "re": 0}), -1)

    def send_bytes(self, kind: Kind, payload: bytes) -> None:
        """Send a frame of bytes. Raises `RelayError` as `send`."""
        self._put(frames.encode(kind, payload), -1)

    async def wait_sent(self) -> None:
        """Wait until the peer has taken what was sent, so that memory stays bounded."""
        while self._unsent and self._end is None:
            self._has_sent.clear()
            await self._has_sent.wait()

    async def answer(self, kinds: Collection[Kind], txn: int) -> Arrival:
        """The next frame of the conversation, which must be one of these; the caller owns its descriptor.

        Raises `RelayError` for NACK and BUSY, for any other type, and when the peer ends. Answers to an earlier
        question or in an earlier handover are passed over.
        """
        while True:
            found = await self._answers.get()
            if isinstance(found, RelayError):
                raise found
            self._read_on()
            if self._is_late(found, kinds, txn):
                self.late_count += 1
                found.close()
            elif found.kind in kinds:
                return found
            else:
                found.close()
                raise _unwelcome(found)

    def _is_late(self, found: Arrival, kinds: Collection[Kind], txn: int) -> bool:
        """Whether it is about another question or another handover than this one. Raises `RelayError` (GARBAGE)."""
        if found.kind in frames.BULK:
            # What was still on its way when a transfer was given up: it must not spoil the RESUME after that.
            return frames.BULK.isdisjoint(kinds)
        try:
            body = found.json()
        except FrameError as error:
            found.close()
            raise RelayError(RelayFault.GARBAGE, str(error)) from error
        return (body.get("txn") or txn) != txn or body.get("re", self._question) != self._question

    async def ask(
        self, kind: Kind, body: dict[str, Any], answer: Kind, timeout_ms: int, *, ahead: Kind | None = None
    ) -> dict[str, Any]:
        """One question, one answer; ``ahead``: what is told with it, first. Raises `RelayError`."""
        async with self.conversation(timeout_ms, kind.name.lower()):
            if ahead is not None:
                self.tell(ahead, body)
            self.send(kind, body)
            arrival = await self.answer((answer,), body.get("txn", 0))
            arrival.close()
            return arrival.json()

    def _forget_answers(self) -> None:
        while not self._answers.empty():
            found = self._answers.get_nowait()
            if isinstance(found, Arrival):
                self.late_count += 1
                found.close()
        self._read_on()

    def _read_on(self) -> None:
        if not self._is_reading and self._end is None and self._answers.qsize() < _UNREAD_ANSWERS_MAX:
            self._is_reading = True
            self._loop.add_reader(self._sock.fileno(), self._read)

    # --- bytes -------------------------------------------------------------------------------------------------------

    def _put(self, data: bytes, fd: int) -> None:
        if self._unsent_bytes > _UNSENT_BYTES_MAX:
            self.close(RelayError(RelayFault.GONE, "the process does not read what it is sent"))
        if self._end is not None:
            raise self._end
        try:
            own = os.dup(fd) if fd >= 0 else -1
        except OSError as error:
            raise RelayError(RelayFault.GONE, f"no descriptor is left to send: {error.strerror}") from error
        self._unsent.append((memoryview(data), own))
        self._unsent_bytes += len(data)
        if len(self._unsent) == 1:
            self._write()

    def _write(self) -> None:
        while self._unsent and self._end is None:
            data, fd = self._unsent[0]
            try:
                sent = self._sock.sendmsg([data], rights_of(fd))
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._write)
                return
            except OSError as error:
                self.close(RelayError(RelayFault.GONE, f"the process cannot be reached: {error.strerror}"))
                return
            self._unsent_bytes -= sent
            self._unsent.popleft()
            if fd >= 0:
                os.close(fd)
            if sent < len(data):
                self._unsent.appendleft((data[sent:], -1))
        self._has_sent.set()
        if self._end is None:
            self._loop.remove_writer(self._sock.fileno())

    def _read(self) -> None:
        try:
            arrived = self._inbox.read(self._sock)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(RelayError(RelayFault.GONE, f"the connection broke: {error.strerror}"))
            return
        except FrameError as error:
            self.close(RelayError(RelayFault.GARBAGE, str(error)))
            return
        if arrived is None:
            where = "" if self._inbox.is_between_frames else " in the middle of a frame"
            self.close(RelayError(RelayFault.GONE, f"the process has gone{where}"))
            return
        for arrival in arrived:
            self._dispatch(arrival)
        if self._answers.qsize() >= _UNREAD_ANSWERS_MAX and self._end is None:
            self._is_reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _dispatch(self, arrival: Arrival) -> None:
        if self._end is not None:
            arrival.close()
        elif arrival.kind in _UNASKED or arrival.frame.is_optional:
            try:
                self._owner.on_unasked(self, arrival)
            finally:
                arrival.close()
        elif self._is_asking.locked():
            self._answers.put_nowait(arrival)
        else:
            self.late_count += 1
            arrival.close()

    def close(self, error: RelayError | None = None) -> None:
        """End the connection; a conversation under way fails with the error. Idempotent."""
        if self._end is not None:
            return
        self._end = error or RelayError(RelayFault.GONE, "the connection was closed")
        self._has_sent.set()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._inbox.close()
        for _, fd in self._unsent:
            if fd >= 0:
                os.close(fd)
        self._unsent.clear()
        if self._is_asking.locked():
            self._answers.put_nowait(self._end)
        self._owner.on_end(self)


def _unwelcome(found: Arrival) -> RelayError:
    match found.kind:
        case Kind.NACK:
            return RelayError(RelayFault.REFUSED, str(found.json().get("text", "no reason given"))[:_TEXT_CHARS_MAX])
        case Kind.BUSY:
            return RelayError(RelayFault.BUSY, f"{found.json().get('inflight', '?')} requests are still under way")
        case kind:
            return RelayError(RelayFault.GARBAGE, f"a frame of type 0x{kind:02x} was not expected")
