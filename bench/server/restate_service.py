"""Restate's side of the work: a service with one handler of no-op steps, as an ASGI application."""

from __future__ import annotations

import restate

from bench import jobs

bench = restate.Service("bench")


@bench.handler()
async def steps(ctx: restate.Context, count: int) -> int:
    for index in range(count):
        await ctx.run_typed("noop", jobs.noop, index=index)
    return count


app = restate.app([bench])
