"""The steps of the jobs under test, each noted in the execution log under a name that is unique in its run."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from aeterna import App, Context, RetryPolicy
from aeterna.kernel.clock import sleep
from tests.crash.execution_log import START, ExecutionLog

RETRY = RetryPolicy(maximum_attempts=3, initial_interval=0.005)


class Steps:
    """Each method asks for one step of a run. ``step_s``: how long a step takes that computes."""

    def __init__(self, app: App, log: ExecutionLog, step_s: float) -> None:
        self.log = log

        async def double(run_id: str, name: str, value: int) -> int:
            with log.executing(run_id, name):
                await sleep(step_s)
                return 2 * value

        self._double = app.step(double)
        self._pure_double = app.step(pure=True, name="pure-double")(double)
        self._flaky = app.step(retry=RETRY, name="flaky")(self._fail_once)

    def doubled(self, ctx: Context, name: str, value: int) -> Awaitable[int]:
        """Twice the value, by an async step."""
        return self._double.options(name=name)(ctx.run_id, name, value)

    def purely_doubled(self, ctx: Context, name: str, value: int) -> Awaitable[int]:
        """Twice the value, by a pure step."""
        return self._pure_double.options(name=name)(ctx.run_id, name, value)

    def increased(self, ctx: Context, name: str, value: int) -> Awaitable[int]:
        """One more than the value, by a plain function in a thread."""
        return ctx.step(name, self._increase, ctx.run_id, name, value)

    def tried_again(self, ctx: Context, name: str) -> Awaitable[str]:
        """A word, by a step whose first execution fails."""
        return self._flaky.options(name=name)(ctx.run_id, name)

    def stamped(self, ctx: Context, name: str) -> Awaitable[str]:
        """The time, by way of a step's input: a replay with another time would not fit the history."""
        return ctx.step(name, self._echo, ctx.run_id, name, ctx.now().isoformat())

    def _increase(self, run_id: str, name: str, value: int) -> int:
        with self.log.executing(run_id, name):
            return value + 1

    async def _fail_once(self, run_id: str, name: str) -> str:
        with self.log.executing(run_id, name):
            if self.log.count(START, name, run_id) == 1:
                raise ConnectionError("the first execution fails")
            return "done"

    async def _echo(self, run_id: str, name: str, word: str) -> str:
        with self.log.executing(run_id, name):
            return word

    async def row(self, ctx: Context, name: str, value: int) -> Any:
        """Two steps, one after the other, and a random number of this branch, whatever its siblings do meanwhile."""
        first = await self.doubled(ctx, f"{name}-1", value)
        return await self.doubled(ctx, f"{name}-2", first) + ctx.random().randint(0, 9)
