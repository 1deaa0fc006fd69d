"""What may go wrong, and what the workflow does about it: retries, errors that no retry helps, time limits, and
undoing.

    $ python error_handling.py
    quote, attempt 1
    quote, attempt 2
    quote, attempt 3
    booked flight
    booked hotel
    cancelled hotel
    cancelled flight
    trip: no car in this town
    slow: gave up after 0.2 s
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from aeterna import App, Context, PermanentError, RetryPolicy, activity

app = App("error-handling")
QUICK = RetryPolicy(maximum_attempts=5, initial_interval=0.05, backoff_coefficient=2.0)


@app.activity(retry=QUICK)
async def quote() -> int:
    """Fails twice: the policy tries again, a little later each time."""
    print(f"quote, attempt {activity.attempt()}")
    if activity.attempt() < 3:
        raise ConnectionError("the airline does not answer")
    return 420


@app.step
async def book(what: str) -> str:
    print(f"booked {what}")
    return what


@app.step(retry=QUICK)
async def book_car() -> str:
    # No retry policy tries this again.
    raise PermanentError("no car in this town")


@app.step
async def cancel(what: str) -> None:
    print(f"cancelled {what}")


@app.workflow
async def trip(ctx: Context) -> str:
    """Undo what was done, the last first, when a later part fails."""
    undo: list[Callable[[], Awaitable[None]]] = []
    await ctx.step(quote)
    try:
        for what in ("flight", "hotel"):
            await ctx.step(book, what)
            undo.append(partial(ctx.step, cancel, what))
        await ctx.step(book_car)
    except PermanentError as error:
        for compensate in reversed(undo):
            await compensate()
        return str(error)
    return "booked"


@app.workflow
async def slow(ctx: Context) -> str:
    try:
        async with ctx.timeout(0.2):
            await ctx.sleep(hours=1)
    except TimeoutError:
        return "gave up after 0.2 s"
    return "slept"


async def main() -> None:
    async with app:
        print("trip:", await trip.start_and_wait())
        print("slow:", await slow.start_and_wait())


if __name__ == "__main__":
    asyncio.run(main())
