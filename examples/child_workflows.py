"""A workflow made of workflows: each child is a run of its own, with its own history, and may be looked at by itself.

$ python child_workflows.py
report of 3 chapters, 9 words
child: COMPLETED
"""

from __future__ import annotations

import asyncio

from aeterna import App, Context

app = App("child-workflows")


@app.step
async def write(title: str) -> list[str]:
    return ["about", title, "."]


@app.workflow
async def chapter(ctx: Context, title: str) -> list[str]:
    return await ctx.step(write, title)


@app.workflow
async def report(ctx: Context, titles: list[str]) -> str:
    chapters = [await ctx.child(chapter, title) for title in titles]
    return f"report of {len(chapters)} chapters, {sum(len(words) for words in chapters)} words"


async def main() -> None:
    async with app:
        handle = await report.options(workflow_id="yearly").start(["spring", "summer", "autumn"])
        print(await handle.result())
        # The id of a child follows from its parent's: the task, the workflow and the how-manieth of it.
        status = await app.handle("yearly/0:chapter:1").status()
        print("child:", status.state.value)


if __name__ == "__main__":
    asyncio.run(main())
