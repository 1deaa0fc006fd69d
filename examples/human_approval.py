"""A run waits for people, for days if need be: a signal is kept until the run takes it, whatever restarts meanwhile.

$ python human_approval.py
expense 1 waits: for ada's word
expense 1: paid, approved by ada
expense 2: refused by grace
expense 3: nobody answered
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aeterna import App, Context

app = App("human-approval")


@dataclass
class Decision:
    approved: bool
    by: str


@app.step
async def pay(amount: int) -> None:
    """The transfer would be here."""


@app.workflow
async def expense(ctx: Context, amount: int, patience_s: float) -> str:
    @ctx.query
    def state() -> str:
        return "for ada's word" if decision is None else "no more"

    decision: Decision | None = None
    try:
        decision = await ctx.wait_signal("decision", Decision, timeout=patience_s)
    except TimeoutError:
        return "nobody answered"
    if not decision.approved:
        return f"refused by {decision.by}"
    await ctx.step(pay, amount)
    return f"paid, approved by {decision.by}"


async def main() -> None:
    async with app:
        first = await expense.start(120, 3600.0)
        print("expense 1 waits:", await first.query("state"))
        # Sent twice, counted once: the id says that it is the same.
        for _ in range(2):
            await first.signal("decision", Decision(approved=True, by="ada"), id="ada-1")
        print("expense 1:", await first.result())

        second = await expense.start(9_000, 3600.0)
        await second.signal("decision", Decision(approved=False, by="grace"))
        print("expense 2:", await second.result())

        third = await expense.start(50, 0.2)
        print("expense 3:", await third.result())


if __name__ == "__main__":
    asyncio.run(main())
