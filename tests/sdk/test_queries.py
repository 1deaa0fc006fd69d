"""Queries: what a run's code answers, in memory or not, without anything being recorded."""

from __future__ import annotations

import pytest

from aeterna import App, Context, QueryFailedError, WorkflowFailedError
from aeterna.kernel.errors import ConfigurationError, RunNotFoundError, UnknownWorkflowError, UsageError
from aeterna.testing import Environment

app = App("queries", store="memory:")


@app.workflow
async def counting(ctx: Context) -> int:
    done: list[str] = []

    @ctx.query
    def progress(scale: int = 1) -> int:
        return len(done) * scale

    ctx.query(lambda: 1 // 0, name="broken one")
    for _ in range(3):
        done.append(await ctx.wait_signal("word"))
    return len(done)


@app.workflow
async def waiting(ctx: Context) -> None:
    @ctx.query
    async def never() -> None: ...


def test_a_run_answers_while_it_waits_and_after_its_end() -> None:
    async def scenario(env: Environment) -> None:
        run = await counting.start()
        assert await run.query("progress") == 0
        for number in range(3):
            await run.signal("word", str(number))
            await env.sleep(1)
            assert await run.query("progress", 10) == (number + 1) * 10
        length = (await run.status()).length
        assert await run.result() == 3
        assert await run.query("progress", scale=2) == 6
        await env.restart()
        assert await run.query("progress") == 3
        assert (await run.status()).length == length, "nothing is recorded"

    Environment().run(app, scenario)


def test_what_cannot_be_answered_says_why() -> None:
    async def scenario(_: Environment) -> None:
        run = await counting.start()
        with pytest.raises(UsageError, match=r"answers no query 'progres' .*'broken one', 'progress'.*did you mean"):
            await run.query("progres")
        with pytest.raises(QueryFailedError, match="ZeroDivisionError"):
            await run.query("broken one")
        with pytest.raises(RunNotFoundError):
            await app.handle("nobody").query("progress")

    Environment().run(app, scenario)


def test_who_answers_must_not_wait() -> None:
    async def scenario(_: Environment) -> None:
        with pytest.raises(WorkflowFailedError, match="query 'never' must be a plain function") as caught:
            await waiting.start_and_wait()
        assert isinstance(caught.value.__cause__, ConfigurationError)

    Environment().run(app, scenario)


def test_only_the_code_of_a_run_can_answer_for_it() -> None:
    env = Environment()

    async def start(_: Environment) -> str:
        return (await counting.start()).id

    run_id = env.run(app, start)
    other = App("other", store="memory:")

    async def ask(_: Environment) -> None:
        with pytest.raises(UnknownWorkflowError, match="only its code can answer"):
            await other.handle(run_id).query("progress")

    env.run(other, ask)
