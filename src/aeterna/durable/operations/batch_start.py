"""Start many runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aeterna.durable.operations.start import StartReply, StartRequest, start
from aeterna.durable.operations.world import World, forwarded
from aeterna.kernel.errors import AeternaError


@forwarded
async def batch_start(world: World, requests: Sequence[StartRequest]) -> list[StartReply | AeternaError]:
    """One answer for each, in their order: one that cannot be started is no obstacle to the others. They share the
    commits."""

    async def attempt(request: StartRequest) -> StartReply | AeternaError:
        try:
            return await start(world, request)
        except AeternaError as error:
            return error

    return list(await asyncio.gather(*map(attempt, requests)))
