"""Calls that must type-check, with the types they must have. Checked by mypy, never run."""

from __future__ import annotations

import asyncio
from typing import assert_type

from aeterna import App, Context, Handle, RetryPolicy, Step, Workflow

app = App("typing")


@app.step
async def fetch(order_id: str) -> dict[str, int]:
    return {order_id: 1}


@app.step(retry=RetryPolicy(maximum_attempts=3), timeout=5.0, pure=True)
def total(numbers: list[int], *, scale: int = 1) -> int:
    return sum(numbers) * scale


async def plain(word: str) -> bytes:
    return word.encode()


@app.workflow
async def child(ctx: Context, a: int, b: int) -> float:
    return a / b


@app.workflow(name="main", version="2")
async def process(ctx: Context, order_id: str, *, fast: bool = False) -> str:
    assert_type(await ctx.step(fetch, order_id), dict[str, int])
    assert_type(await ctx.step("named", fetch, order_id), dict[str, int])
    assert_type(await fetch(order_id), dict[str, int])
    assert_type(await total([1, 2], scale=2), int)
    assert_type(await ctx.step(total, [1, 2]), int)
    assert_type(await ctx.step(plain, "x"), bytes)
    assert_type(await ctx.step("inline", plain, "x"), bytes)
    assert_type(await ctx.parallel([lambda: total([1]), lambda: total([2])]), list[int])
    assert_type(await ctx.child(child, 1, 2), float)
    assert_type(await asyncio.gather(fetch("a"), total([1])), tuple[dict[str, int], int])
    await ctx.sleep(minutes=5)
    return order_id


some_step: Step[[str], dict[str, int]] = fetch
some_workflow: Workflow[[int, int], float] = child


async def main() -> None:
    handle = await process.start("A-1", fast=True)
    assert_type(handle, Handle[str])
    assert_type(await handle.result(timeout=30), str)
    assert_type(await process.options(workflow_id="A-2").start_and_wait("A-2"), str)
    await app.serve([process, child])


assert_type(app.run(child, 1, 2), float)
