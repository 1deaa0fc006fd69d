"""Aeterna's processes: a worker, a client, or both in one, at a server.

``order["does"]``: ``work`` executes runs until it is ended; ``load`` starts runs and waits for them; ``both`` does the
two in one process, as a library would."""

from __future__ import annotations

import asyncio
import os
from time import monotonic_ns, time_ns

from aeterna import App, Context, Workflow
from bench import jobs
from bench.server.lanes import measure, order, say

NAMESPACE = "bench"


def build(server: str, log: str = "", step_s: float = 0.0) -> tuple[App, Workflow[[int], int]]:
    """The app and its workflow of no-op steps. ``log``: where each execution of a slow step is written down."""
    app = App(NAMESPACE, server=server)
    noop = app.step(jobs.noop)

    @app.workflow
    async def steps(ctx: Context, count: int) -> int:
        for index in range(count):
            await noop(index)
        return count

    def note(line: str) -> None:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    @app.step
    async def slow(run_id: str) -> None:
        note(f"{monotonic_ns() // 1000}\t{os.getpid()}\t{run_id}\n")
        await asyncio.sleep(step_s)

    @app.workflow
    async def slow_steps(ctx: Context, count: int) -> int:
        for _ in range(count):
            await slow(ctx.run_id)
        return count

    @app.step
    async def woken(due_us: int) -> None:
        note(f"{time_ns() // 1000 - due_us}\n")

    @app.workflow
    async def sleeper(ctx: Context, due_us: int) -> None:
        await ctx.sleep(max(due_us / 1e6 - ctx.now().timestamp(), 0.0))
        await woken(due_us)

    return app, steps


async def main() -> None:
    given = order()
    app, steps = build(given["server"], given.get("log", ""), given.get("step_s", 0.0))
    if given["does"] == "work":
        await app.serve()
        return
    if given["does"] == "both":
        await app.engine()
    try:

        async def run() -> object:
            return await (await steps.start(given["steps"])).result()

        say(await measure(run, given))
    finally:
        await app.close()


if __name__ == "__main__":
    asyncio.run(main())
