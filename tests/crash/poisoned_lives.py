"""A program that dies of one of its runs, life after life; see ``test_poison``.

Each life is a fork of this process that opens the app over the same file. It ends by SIGKILL in the middle of the
deadly step, as a process that runs out of memory would, unless nobody executes that any more: then it tells what it
finds, cures the step, and resumes the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from aeterna import App, Context
from aeterna.durable.stores.contract import CRASH_LIMIT

POISON = "parent/0:poison:1"
WAIT_S = 60.0

app = App("poison", store=f"sqlite:///{sys.argv[1]}")
cure = Path(sys.argv[2])


@app.step
async def harmless() -> str:
    return "done"


@app.step
async def deadly() -> str:
    if not cure.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.workflow
async def poison(_: Context) -> str:
    await harmless()
    return await deadly()


@app.workflow
async def parent(ctx: Context) -> str:
    return await ctx.child(poison)


@app.workflow
async def sleeper(ctx: Context) -> None:
    await ctx.sleep(days=30)


async def live() -> None:
    async with app, asyncio.timeout(WAIT_S):
        await sleeper.options(workflow_id="sleeper").start()
        handle = await parent.options(workflow_id="parent").start()
        store = (await app.world()).store
        while (row := await store.get_run(POISON)) is None or row.detail != "stuck":
            await asyncio.sleep(0.01)
        bystanders = [await app.handle(run_id).status() for run_id in ("parent", "sleeper")]
        found = [(each.detail, each.crashes) for each in (row, *bystanders)]
        cure.touch()
        await app.handle(POISON).resume()
        print(json.dumps({"found": found, "note": row.note, "result": await handle.result()}), flush=True)


def main() -> int:
    """Live until a life ends by itself, and say how many were killed; 9 if too many are."""
    for killed in range(CRASH_LIMIT + 5):
        pid = os.fork()
        if not pid:
            asyncio.run(live())
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            print(killed, flush=True)
            return os.waitstatus_to_exitcode(status)
    return 9


if __name__ == "__main__":
    raise SystemExit(main())
