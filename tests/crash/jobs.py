"""The workflows that the crash tests kill: every kind of part a run can have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from aeterna import App, Context, Workflow
from tests.crash.execution_log import ExecutionLog
from tests.crash.steps import Steps

LONG_S = 1000.0
"""Longer than any test."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """The workflows of one app."""

    errand: Workflow[[int], int]
    nap: Workflow[[int], int]
    family: Workflow[[int, int], list[int]]
    guarded: Workflow[[int], None]
    journey: Workflow[[int], dict[str, Any]]
    chain: Workflow[[int], int]
    slow_chain: Workflow[[int], int]
    bills: Workflow[[int], list[int]]


def define_jobs(app: App, log: ExecutionLog, step_s: float = 0.0, nap_s: float = 0.01) -> Jobs:
    """Register the workflows. ``step_s``: how long a step takes; ``nap_s``: how long durable sleeps are."""
    steps = Steps(app, log, step_s)
    errand = define_errand(app, steps)
    nap = define_nap(app, steps, nap_s)
    return Jobs(
        errand,
        nap,
        define_family(app, steps, nap_s),
        define_guarded(app, steps, nap),
        define_journey(app, steps, errand, nap_s),
        define_chain(app, steps, nap_s),
        define_slow_chain(app, steps),
        define_bills(app, steps),
    )


def define_errand(app: App, steps: Steps) -> Workflow[[int], int]:
    """Two steps."""

    @app.workflow
    async def errand(ctx: Context, value: int) -> int:
        return await steps.increased(ctx, "bring", await steps.doubled(ctx, "fetch", value))

    return errand


def define_nap(app: App, steps: Steps, nap_s: float) -> Workflow[[int], int]:
    """A durable sleep between two steps; ``finally`` leaves a mark."""

    @app.workflow
    async def nap(ctx: Context, value: int) -> int:
        try:
            value = await steps.doubled(ctx, "before", value)
            await ctx.sleep(nap_s)
            return await steps.doubled(ctx, "after", value)
        finally:
            steps.log.mark(ctx.run_id, "left")

    return nap


def define_family(app: App, steps: Steps, nap_s: float) -> Workflow[[int, int], list[int]]:
    """A tree of runs, each waiting for its children, and the leaves sleeping."""

    @app.workflow
    async def family(ctx: Context, depth: int, width: int) -> list[int]:
        if depth == 0:
            await ctx.sleep(nap_s)
            return [await steps.increased(ctx, "leaf", width)]
        nested = await ctx.parallel([partial(ctx.child, family, depth - 1, width)] * width)
        return [value for values in nested for value in values]

    return family


def define_guarded(app: App, steps: Steps, nap: Workflow[[int], int]) -> Workflow[[int], None]:
    """Sleeps and waits for a child that sleeps, until it is cancelled, and cleans up with a step."""

    @app.workflow
    async def guarded(ctx: Context, value: int) -> None:
        try:
            await steps.doubled(ctx, "before", value)
            await asyncio.gather(ctx.sleep(LONG_S), ctx.child(nap, value))
        finally:
            await steps.doubled(ctx, "cleanup", value)
            steps.log.mark(ctx.run_id, "left")

    return guarded


async def branches(ctx: Context, steps: Steps) -> list[Any]:
    """Branches of ``ctx.parallel``, of ``gather`` and of a ``TaskGroup``."""
    pair = await ctx.parallel([partial(steps.doubled, ctx, f"pair-{n}", n) for n in range(2)])
    threes = await asyncio.gather(
        steps.doubled(ctx, "three-0", 5), steps.increased(ctx, "three-1", 6), steps.row(ctx, "three-2", 7)
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(steps.row(ctx, f"group-{n}", n)) for n in range(2)]
    return [pair, threes, [task.result() for task in tasks]]


def define_journey(
    app: App, steps: Steps, errand: Workflow[[int], int], nap_s: float
) -> Workflow[[int], dict[str, Any]]:
    """Every kind of part, one after the other."""

    @app.workflow
    async def journey(ctx: Context, value: int) -> dict[str, Any]:
        value = await steps.doubled(ctx, "second", await steps.doubled(ctx, "first", value))
        early = await steps.stamped(ctx, "early")
        values = await branches(ctx, steps)
        await ctx.sleep(nap_s)
        word = await steps.tried_again(ctx, "flaky")
        # With a timer beside the child, the run's row says when that is due; a recovery must not wait for it.
        async with ctx.timeout(LONG_S):
            brought = await ctx.child(errand, 8)
        late = await steps.stamped(ctx, "late")
        numbers = [str(ctx.uuid()), str(ctx.uuid()), ctx.random().random()]
        return {"values": [value, values, word, brought], "numbers": numbers, "times": [early, late]}

    return journey


def define_chain(app: App, steps: Steps, nap_s: float) -> Workflow[[int], int]:
    """Steps ``link-1``, ``link-2``, ... in a row, then a durable sleep, then the step ``last``."""

    @app.workflow
    async def chain(ctx: Context, length: int) -> int:
        value = 0
        for number in range(1, length + 1):
            value = await steps.increased(ctx, f"link-{number}", value)
        await ctx.sleep(nap_s)
        return await steps.doubled(ctx, "last", value)

    return chain


def define_slow_chain(app: App, steps: Steps) -> Workflow[[int], int]:
    """Pairs of steps, ``row-1-1``, ``row-1-2``, ``row-2-1``, ..., each of which takes its time."""

    @app.workflow
    async def slow_chain(ctx: Context, length: int) -> int:
        return sum([await steps.row(ctx, f"row-{number}", number) for number in range(1, length // 2 + 1)])

    return slow_chain


PURES = 4
BILLS = 3


def define_bills(app: App, steps: Steps) -> Workflow[[int], list[int]]:
    """Three times: pure steps in a row and in branches, then ``charge-N``, which is not pure."""

    @app.workflow
    async def bills(ctx: Context, value: int) -> list[int]:
        charged = []
        for bill in range(BILLS):
            for number in range(PURES):
                value = await steps.purely_doubled(ctx, f"pure-{bill}-{number}", value)
            names = [f"pure-{bill}-{branch}" for branch in "ab"]
            both = await asyncio.gather(*[steps.purely_doubled(ctx, name, 1) for name in names])
            charged.append(await steps.doubled(ctx, f"charge-{bill}", value + sum(both)))
        return charged

    return bills
