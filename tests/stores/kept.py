"""A store with runs that an engine has written, a file or PostgreSQL, and a way to damage it by SQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import asyncpg
import pytest

from aeterna import App, Context
from aeterna.durable.stores.ledger import Upkeep
from aeterna.durable.stores.opening import open_upkeep
from aeterna.kernel.errors import WorkflowFailedError

app = App("shop", store="memory:")


@app.step
async def add(a: int, b: int) -> int:
    return a + b


@app.step
async def fail() -> None:
    raise ValueError("no stock")


@app.workflow
async def total(ctx: Context, numbers: list[int]) -> dict[str, int]:
    result = 0
    for number in numbers:
        result = await add(result, number)
        await ctx.sleep(seconds=0)
    return {"total": result}


@app.workflow
async def raw(ctx: Context) -> bytes:
    return b"\x00abc"


@app.workflow
async def fails(ctx: Context) -> None:
    await fail()


@app.workflow
async def waits(ctx: Context) -> None:
    await ctx.sleep(days=30)


@app.workflow
async def listens(ctx: Context) -> str:
    return str(await ctx.wait_signal("word"))


class Kept:
    """``damage``: carry out SQL in which ``{events}`` and the like stand for the names that the tables have there."""

    def __init__(self, url: str, schema: str = "") -> None:
        self.url = url
        self.schema = schema
        self._prefix = f"{schema}." if schema else ""

    @classmethod
    def file(cls, path: Path) -> Kept:
        return cls(f"sqlite:///{path}")

    @classmethod
    def postgres(cls, url: str) -> Kept:
        return cls(url, url.rpartition("schema=")[2])

    @property
    def upkeep(self) -> Upkeep:
        return open_upkeep(self.url)

    @property
    def is_file(self) -> bool:
        return not self.schema

    async def damage(self, sql: str) -> None:
        names = {name: self._prefix + name for name in ("runs", "inbox", "sessions", "shares", "namespaces")}
        names["events"] = f"{self._prefix}events" if self.schema else "segments"
        names["readable"] = "'\\x01'::bytea" if self.schema else "x'01'"
        names["noise"] = "'\\x01ff'::bytea" if self.schema else "x'01ff'"
        script = sql.format(**names)
        if self.is_file:
            with sqlite3.connect(self.url.removeprefix("sqlite:///")) as db:
                db.executescript(script)
            return
        connection = await asyncpg.connect(self.url.partition("?")[0])
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def live(self, head: str = "") -> None:
        """Let an engine write: ``sum`` has completed, ``raw`` with bytes and ``told`` after a signal, too, ``broken``
        has failed, ``long`` sleeps. ``head``: what their ids begin with."""
        app.configure(store=self.url)
        async with app:
            assert await (await total.options(workflow_id=f"{head}sum").start([1, 2, 3])).result() == {"total": 6}
            assert await (await raw.options(workflow_id=f"{head}raw").start()).result() == b"\x00abc"
            broken = await fails.options(workflow_id=f"{head}broken").start()
            await waits.options(workflow_id=f"{head}long").start()
            listener = await listens.options(workflow_id=f"{head}told").start()
            await listener.signal("word", "please")
            assert await listener.result() == "please"
            with pytest.raises(WorkflowFailedError, match="no stock"):
                await broken.result()
