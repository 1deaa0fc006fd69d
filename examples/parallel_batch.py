"""A batch: many runs at the same time, from a plain program and from a workflow.

$ python parallel_batch.py
from a program : [1, 4, 9, 16]
from a workflow: total 30
"""

from __future__ import annotations

import asyncio
from functools import partial

from aeterna import App, Context

app = App("parallel-batch")


@app.step
async def square(number: int) -> int:
    return number * number


@app.workflow
async def work(ctx: Context, number: int) -> int:
    return await ctx.step(square, number)


@app.workflow
async def batch(ctx: Context, numbers: list[int]) -> int:
    """Every part is a run of its own; the first failure would cancel the others."""
    parts = await ctx.parallel([partial(ctx.child, work, number) for number in numbers])
    return sum(parts)


async def main() -> None:
    numbers = [1, 2, 3, 4]
    async with app:
        print("from a program :", await asyncio.gather(*[work.start_and_wait(number) for number in numbers]))
        print("from a workflow: total", await batch.start_and_wait(numbers))


if __name__ == "__main__":
    asyncio.run(main())
