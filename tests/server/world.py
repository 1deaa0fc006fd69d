"""A server in this process, on free ports, with a worker and somebody who asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

from aeterna import App
from aeterna.durable.stores.sqlite.store import SqliteNamespaces
from aeterna.durable.wire.services import CHANNEL_OPTIONS, Caller
from aeterna.server.options import ServeOptions
from aeterna.server.serving import Addresses, serving


@dataclass
class World:
    """``http`` and ``call`` ask the server."""

    addresses: Addresses
    http: httpx.AsyncClient
    call: Caller

    def app(self) -> App:
        """A program of namespace ``orders`` that is to take part."""
        return make_app(self.addresses.grpc)


def make_app(server: str) -> App:
    app = App("orders", server=server)

    @app.step
    async def double(number: int) -> int:
        return 2 * number

    @app.workflow
    async def doubled(ctx, number: int) -> int:
        return await double(number)

    @app.workflow
    async def asked(ctx, greeting: str) -> str:
        name = await ctx.wait_signal("name")
        return f"{greeting} {name}"

    @app.workflow
    async def failing(ctx) -> None:
        raise ValueError("it cannot be done")

    @app.workflow
    async def parent(ctx, number: int) -> int:
        return await ctx.child(doubled, number)

    return app


@asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    """A server without workers."""
    options = ServeOptions(grpc_port=0, http_port=0, metrics_port=0)
    async with (
        serving(SqliteNamespaces(folder / "server.db"), options) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=30, params={"namespace": "orders"}) as http,
        grpc.aio.insecure_channel(addresses.grpc, options=CHANNEL_OPTIONS) as channel,
    ):
        yield World(addresses, http, Caller(channel))


@asynccontextmanager
async def served_in(folder: Path) -> AsyncIterator[World]:
    """The same with a worker."""
    async with world_in(folder) as world, world.app():
        yield world
