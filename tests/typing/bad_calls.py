"""Calls that must not type-check: each line that ends in `# E: code` gives that error, and no other line any."""

from __future__ import annotations

from aeterna import App, Context

app = App("typing")


@app.step
async def fetch(order_id: str) -> dict[str, int]:
    return {order_id: 1}


@app.workflow
async def process(ctx: Context, order_id: str) -> str:
    await ctx.step(fetch, 7)  # E: call-overload
    await ctx.step(fetch)  # E: call-overload
    await ctx.step("named", fetch, order_id, 2)  # E: call-overload
    await fetch(7)  # E: arg-type
    await ctx.child(process, 3)  # E: arg-type
    return order_id


@app.workflow  # E: arg-type
def not_async(ctx: Context, order_id: str) -> str:
    return order_id


@app.workflow  # E: arg-type
async def no_context(order_id: str) -> str:
    return order_id


async def main() -> None:
    await process.start(1)  # E: arg-type
    await process.start()  # E: call-arg
    await process.start("a", "b")  # E: call-arg
    await process.start(order="a")  # E: call-arg
    await process.options(workflow_id=3).start("a")  # E: arg-type
    number: int = await process.start_and_wait("a")  # E: assignment
    app.run(process, 5)  # E: arg-type
    print(number)
