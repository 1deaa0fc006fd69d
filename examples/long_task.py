"""A long task tells how far it is, and goes on from there after a failure.

    $ python long_task.py
    attempt 1 begins at page 0
    attempt 2 begins at page 4
    indexed 10 pages

An attempt that is not heard of for its heartbeat timeout has failed, too; so has one whose process was killed. In
all cases the next attempt begins where the last heartbeat said.
"""

from __future__ import annotations

import asyncio

from aeterna import App, Context, RetryPolicy, activity

app = App("long-task")


async def index(pages: int) -> int:
    done = activity.last_details(int) or 0
    print(f"attempt {activity.attempt()} begins at page {done}")
    for page in range(done, pages):
        if page == 4 and activity.attempt() == 1:
            raise ConnectionError("the index went away")
        # The work on one page would be here.
        activity.heartbeat(page + 1)
    return pages


@app.workflow
async def reindex(ctx: Context, pages: int) -> str:
    done = await ctx.activity(
        "index",
        index,
        pages,
        retry=RetryPolicy(maximum_attempts=3, initial_interval=0.05),
        timeout=3600,
        heartbeat_timeout=30,
    )
    return f"indexed {done} pages"


async def main() -> None:
    async with app:
        print(await reindex.start_and_wait(10))


if __name__ == "__main__":
    asyncio.run(main())
