"""The results of steps decide what comes next, in plain Python: ``if``, ``for``, ``while``.

$ python conditional_logic.py
250: approved at once
5000: approved after 2 checks
90000: refused, the risk is high
"""

from __future__ import annotations

import asyncio

from aeterna import App, Context

app = App("conditional-logic")


@app.step
async def score(amount: int) -> str:
    if amount < 1_000:
        return "low"
    return "medium" if amount < 50_000 else "high"


@app.step
async def check(number: int) -> bool:
    """The second check is satisfied."""
    return number >= 2


@app.workflow
async def loan(ctx: Context, amount: int) -> str:
    risk = await ctx.step(score, amount)
    if risk == "low":
        return "approved at once"
    if risk == "high":
        return "refused, the risk is high"
    checks = 1
    while not await ctx.step(check, checks):
        checks += 1
    return f"approved after {checks} checks"


async def main() -> None:
    async with app:
        for amount in (250, 5_000, 90_000):
            print(f"{amount}: {await loan.start_and_wait(amount)}")


if __name__ == "__main__":
    asyncio.run(main())
