"""A worker of a server: ``AETERNA_SERVER=HOST:PORT python -m tests.processes.server_worker [CAPABILITY ...]``."""

from __future__ import annotations

import asyncio
import os
import sys

from aeterna import App, Context
from aeterna.kernel.clock import sleep

app = App("served")


@app.step
async def part(number: int) -> int:
    await sleep(0.02)
    return os.getpid()


@app.workflow
async def job(ctx: Context, parts: int) -> list[int]:
    """The processes that executed the parts."""

    @ctx.query
    def done() -> int:
        return len(results)

    results: list[int] = []
    for number in range(parts):
        results.append(await part(number))
    return results


@app.workflow(requires=["gpu"])
async def on_gpu(ctx: Context) -> int:
    return await part(0)


@app.workflow
async def approval(ctx: Context) -> str:
    return str(await ctx.wait_signal("word"))


if __name__ == "__main__":
    asyncio.run(app.serve(capabilities=sys.argv[1:]))
