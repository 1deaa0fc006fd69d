"""The connection breaks after PostgreSQL has done what it was asked and before its answer arrives: the store finds out
what was done, and answers as if nothing had happened."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

from aeterna.durable.stores.contract import CreateRun, FireSchedule, FullStore, Post
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.postgres import PostgresStore
from tests.stores.differential import Side
from tests.stores.differential_script import Operation, Script, replace
from tests.stores.postgres_server import PostgresServer
from tests.stores.test_postgres_differential import OPERATIONS, give_back_tokens

SEEDS = 8
SHARE_CUT = 0.3
CUT = {"commit", "claim", "history", "get_run", "list_runs", "inbox", "release_runs"}
"""What comes to the same, done twice. (A second `claim_run` raises the epoch once more, which does no harm.)"""


class Cutter:
    """Stands between a store and its server, and cuts connections instead of handing on an answer."""

    def __init__(self, server: PostgresServer, seed: int) -> None:
        self.random = random.Random(seed)
        self.cuts = 0
        self.cuts_left = 0
        self.port = 0
        self._server = server

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        async with listener:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._server.host, self._server.port)
        ways = [asyncio.create_task(self._pass_on(reader, back)), asyncio.create_task(self._answer(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
        for end in (writer, back):
            end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if self.cuts_left and self.random.random() < SHARE_CUT:
                    self.cuts += 1
                    self.cuts_left -= 1
                    return
                writer.write(data)


class CarefulScript(Script):
    """Nothing whose repetition is another thing, seen from outside: no posts at the same moment or to a run that comes
    to be in the same commit, no debouncing, no schedules that were fired meanwhile."""

    def commit(self) -> Operation:
        name, writes = super().commit()
        careful: list[Any] = []
        made = {write.id for write in writes if isinstance(write, CreateRun)}
        for number, write in enumerate(writes):
            if isinstance(write, CreateRun):
                careful.append(replace(write, debounce=False, singleton=None))
            elif not isinstance(write, FireSchedule) and not (isinstance(write, Post) and write.run_id in made):
                careful.append(replace(write, at_us=write.at_us + number) if isinstance(write, Post) else write)
        self.now_us += len(writes)
        return name, careful


async def test_what_was_done_is_recognized(postgres_server: PostgresServer) -> None:
    """Against the memory store, while up to two answers to each operation are lost."""
    cutter = Cutter(postgres_server, 5)
    async with cutter.listening():
        url = f"postgresql://postgres@127.0.0.1:{cutter.port}/postgres?schema=lost"
        for seed in range(SEEDS):
            await play_cut(seed, cutter, PostgresStore(url, f"seed {seed}"))
    assert cutter.cuts > 5 * SEEDS


def without_rows(answer: object) -> object:
    """A run that was in the way is shown as it is at the end of the commit, when that is looked at again."""
    if isinstance(answer, list):
        return [each[:1] if isinstance(each, tuple) and each[0] in ("Exists", "Refused") else each for each in answer]
    return answer


async def play_cut(seed: int, cutter: Cutter, other: FullStore) -> None:
    oracle, side = Side(MemoryStore(is_shared=True), seed), Side(other, seed)
    script = CarefulScript(seed, is_shared=True)
    for each in (oracle, side):
        await each.store.open()
    try:
        for number in range(OPERATIONS):
            operation = await script.next(oracle.store)
            name = operation[0]
            expected = await oracle.do(operation)
            cutter.cuts_left = script.random.randint(0, 2) if name in CUT else 0
            answer = await side.do(operation)
            cutter.cuts_left = 0
            if name != "release_runs":
                assert without_rows(answer) == without_rows(expected), f"seed {seed}, operation {number}: {operation}"
            script.learn(operation, expected)
        assert await side.snapshot() == await oracle.snapshot(), f"seed {seed}"
        await give_back_tokens(other)
    finally:
        for each in (oracle, side):
            await each.store.close()
