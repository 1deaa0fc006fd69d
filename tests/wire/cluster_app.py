"""The program under test: ``python -m tests.wire.cluster_app ADDRESS NAME [LEASE_S]`` is a worker of it."""

from __future__ import annotations

import asyncio
import os
import sys

from aeterna import App

app = App("shop", server=sys.argv[1] if len(sys.argv) > 1 else os.environ.get("AETERNA_SERVER", "127.0.0.1:1"))


@app.step
async def add(total: int, number: int) -> int:
    """A step that takes no time."""
    return total + number


@app.step(name="slow-step.1")
async def slow(seconds: float) -> int:
    """A step that takes some; says in which process."""
    await asyncio.sleep(seconds)
    return os.getpid()


@app.workflow
async def summing(ctx, count: int) -> int:
    """Ten or so steps."""
    total = 0
    for number in range(count):
        total = await add(total, number)
    return total


@app.workflow
async def waiting(ctx, steps: int, seconds: float) -> list[int]:
    """Which process executed each step."""
    return [await slow(seconds) for _ in range(steps)]


@app.workflow
async def signalled(ctx) -> str:
    """Waits for one signal."""
    return str(await ctx.wait_signal("go"))


async def work() -> None:
    """Be a worker until killed."""
    async with app:
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work())
