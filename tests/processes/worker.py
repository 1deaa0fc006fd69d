"""A process that executes the runs of one app over a store that others share: ``python -m tests.processes.worker URL``.

It appends a line to FILE for each step it executes, so that a test can count them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from aeterna import App, Context, Limits
from aeterna.kernel.clock import sleep

FILE_VARIABLE = "EXECUTION_LOG"


def note(line: str) -> None:
    with Path(os.environ[FILE_VARIABLE]).open("a", encoding="utf-8") as file:
        file.write(line)


def make_app(url: str) -> App:
    """The app of this process, over a store of its own."""
    # Few at a time, so that the work is shared.
    app = App("shared", store=url, limits=Limits(running_runs_max=4))

    @app.step
    async def part(run_id: str, number: int) -> int:
        note(f"{run_id} {number} {os.getpid()}\n")
        await sleep(0.05)
        return number

    @app.workflow
    async def job(ctx: Context, parts: int) -> int:
        return sum([await ctx.step(part, ctx.run_id, number) for number in range(parts)])

    @app.workflow
    async def approval(ctx: Context) -> str:
        return f"{await ctx.wait_signal('word')} by {os.getpid()}"

    return app


async def main() -> None:
    await make_app(sys.argv[1]).serve(name=f"worker {os.getpid()}")


if __name__ == "__main__":
    asyncio.run(main())
