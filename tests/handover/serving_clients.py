"""Clients as strict as a test can be: none tries again, and every answer has to be whole."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def is_last(self) -> bool:
        """The server closes the connection after it."""
        return self.headers.get("connection", "").lower() == "close"


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, path: str, *, method: str = "GET", body: bytes | None = None, headers: str = "") -> None:
        length = "" if body is None else f"content-length: {len(body)}\r\n"
        self.writer.write(f"{method} {path} HTTP/1.1\r\nhost: test\r\n{length}{headers}\r\n".encode() + (body or b""))
        await self.writer.drain()

    async def head(self) -> Answer:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:-2])
        return Answer(int(lines[0].split()[1]), headers)

    async def answer(self) -> Answer:
        answer = await self.head()
        if "content-length" in answer.headers:
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        else:
            answer.body = b"".join([part async for part in self.parts()])
        return answer

    async def parts(self) -> AsyncIterator[bytes]:
        """The parts of a chunked body, up to its end."""
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        assert await self.reader.readline() == b"\r\n"

    async def get(self, path: str, **request: object) -> Answer:
        await self.send(path, **request)  # type: ignore[arg-type]
        return await self.answer()

    async def is_closed(self) -> bool:
        """Waits for the server to close; nothing more may come before."""
        return await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


@asynccontextmanager
async def connection_to(port: int) -> AsyncIterator[Connection]:
    connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield connection
    finally:
        await connection.close()


async def get(port: int, path: str, **request: object) -> Answer:
    """One request on a connection of its own."""
    async with connection_to(port) as connection:
        return await connection.get(path, **request)


@dataclass(slots=True)
class Tally:
    """What the clients met."""

    answered: Counter[str] = field(default_factory=Counter)
    last_of: dict[int, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.answered.total()


async def _ask_for_ever(port: int, tally: Tally, number: int, path: str) -> None:
    while True:
        try:
            async with connection_to(port) as connection:
                is_last = False
                while not is_last:
                    answer = await connection.get(path)
                    assert answer.status == 200, answer
                    tally.answered[answer.body.decode()] += 1
                    tally.last_of[number] = answer.body.decode()
                    is_last = answer.is_last
        except (OSError, AssertionError, EOFError) as error:
            tally.failures.append(repr(error))


@asynccontextmanager
async def closed_loop(port: int, clients: int, path: str = "/") -> AsyncIterator[Tally]:
    """So many keep-alive clients, each asking again as soon as it has its answer; a lost request is a failure."""
    tally = Tally()
    tasks = [asyncio.create_task(_ask_for_ever(port, tally, number, path)) for number in range(clients)]
    try:
        yield tally
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
