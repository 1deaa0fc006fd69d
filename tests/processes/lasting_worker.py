"""Workers that print what they do: one starts a run and waits for it; with ``helps`` as argument it only executes."""

from __future__ import annotations

import asyncio
import os
import sys

from aeterna import App, Context
from aeterna.kernel.clock import sleep

app = App("lasting")


@app.step
async def report(number: int) -> int:
    print(f"step {number} of {os.getpid()}", flush=True)
    await sleep(0.5)
    return os.getpid()


@app.workflow
async def work(ctx: Context, steps: int) -> list[int]:
    return [await report(number) for number in range(steps)]


async def main() -> None:
    async with app:
        print("result", await (await work.options(workflow_id="w").start(8)).result(), flush=True)


if __name__ == "__main__":
    asyncio.run(app.serve() if "helps" in sys.argv else main())
