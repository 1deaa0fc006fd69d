"""The clients that stay a while: server-sent events, WebSockets and slow uploads.

Each measures one thing from its start to its proper end. A stream that ends without its last chunk, a WebSocket that
ends without a close frame and an upload without an answer are failures.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench.supervisor.connection import Address, Answer, Head, failure, parse_head
from bench.supervisor.records import Outcome

CHUNK_BYTES = 4096
TEXT_FRAME, CLOSE_FRAME = 0x81, 0x88
NORMAL_CLOSE = 1000
PROPER_CLOSES = frozenset({NORMAL_CLOSE, 1001, 1012})


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a stream lasts: so many pieces, one each ``pause_ms``; never more than ``timeout_s`` in all."""

    pieces: int = 20
    pause_ms: int = 50
    timeout_s: float = 30.0


@contextlib.asynccontextmanager
async def _opened(address: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if address.path:
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> Head:
    head = parse_head(await reader.readuntil(b"\r\n\r\n"))
    assert head is not None, "read to its end"
    return head


def _ended(head: Head, outcome: Outcome, status: int | None = None) -> Answer:
    answer = head.answer()
    return Answer(outcome, head.status if status is None else status, answer.pid, answer.release)


async def server_sent_events(address: Address, pace: Pace) -> Answer:
    """Read a stream of events to its end: the last chunk has to come."""
    async with _opened(address) as (reader, writer):
        path = f"/sse?events={pace.pieces}&ms={pace.pause_ms}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        head = await _head(reader)
        body = await reader.read(-1)
        is_whole = body.endswith(b"0\r\n\r\n") if b"transfer-encoding" in head.fields else True
        return _ended(head, Outcome.OK if is_whole and head.status == 200 else Outcome.FAILED)


async def websocket(address: Address, pace: Pace) -> Answer:
    """Exchange messages with `/ws`; the close is ours after the last, or the server's if it is a proper one."""
    async with _opened(address) as (reader, writer):
        key = base64.b64encode(b"benchmark of 16b").decode()
        writer.write(
            "GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await _head(reader)
        if head.status != 101:
            return _ended(head, Outcome.FAILED)
        for number in range(pace.pieces):
            writer.write(_frame(TEXT_FRAME, str(number).encode()))
            opcode, payload = await _read_frame(reader)
            if opcode == CLOSE_FRAME:
                return _ended(head, *_judge_close(payload))
            await asyncio.sleep(pace.pause_ms / 1000)
        writer.write(_frame(CLOSE_FRAME, struct.pack("!H", NORMAL_CLOSE)))
        opcode, payload = await _read_frame(reader)
        while opcode != CLOSE_FRAME:
            opcode, payload = await _read_frame(reader)
        return _ended(head, *_judge_close(payload))


def _judge_close(payload: bytes) -> tuple[Outcome, int]:
    code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else NORMAL_CLOSE
    return (Outcome.OK if code in PROPER_CLOSES else Outcome.FAILED), code


def _frame(opcode: int, payload: bytes) -> bytes:
    """A short frame as a client sends it, masked with zeros."""
    return bytes((opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    opcode, length = await reader.readexactly(2)
    if length == 126:
        length = struct.unpack("!H", await reader.readexactly(2))[0]
    return opcode, await reader.readexactly(length)


async def upload(address: Address, pace: Pace) -> Answer:
    """Send a body slowly, and expect an answer that has counted all of it."""
    size = pace.pieces * CHUNK_BYTES
    async with _opened(address) as (reader, writer):
        writer.write(f"POST /upload HTTP/1.1\r\nHost: bench\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(pace.pieces):
            writer.write(b"x" * CHUNK_BYTES)
            await writer.drain()
            await asyncio.sleep(pace.pause_ms / 1000)
        head = await _head(reader)
        is_whole = head.fields.get(b"x-received") == str(size).encode()
        return _ended(head, Outcome.OK if is_whole else Outcome.FAILED)


async def attempt(client: str, address: Address, pace: Pace) -> Answer:
    """One stream of that kind (`sse`, `websocket` or `upload`); whatever goes wrong is an answer too."""
    run = {"sse": server_sent_events, "websocket": websocket, "upload": upload}[client]
    try:
        async with asyncio.timeout(pace.timeout_s):
            return await run(address, pace)
    except (OSError, EOFError) as error:
        return Answer(failure(error))
