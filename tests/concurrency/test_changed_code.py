"""Code that does not follow a recorded history: said side by side, nothing damaged, and the old code still finishes
the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aeterna import App, Context, NonDeterminismError
from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.segment import encode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.testing import Environment

Body = Callable[[Context, "Steps"], Awaitable[Any]]


class Steps:
    """The steps of every version of the code."""

    def __init__(self, app: App, *, price_type: Any = int) -> None:
        @app.step
        async def reserve(item: str) -> str:
            return f"reserved {item}"

        async def price(item: str) -> Any:
            return 7

        price.__annotations__["return"] = price_type

        @app.step
        async def ship(item: str) -> str:
            return f"shipped {item}"

        self.reserve, self.price, self.ship = reserve, app.step(price), ship


def app_with(body: Body, **options: Any) -> App:
    app = App("orders")
    steps = Steps(app, **options)

    @app.workflow
    async def order(ctx: Context, item: str) -> list[Any]:
        result: list[Any] = await body(ctx, steps)
        return result

    return app


async def original(ctx: Context, s: Steps) -> list[Any]:
    done = [await s.reserve("tea"), await s.price("tea")]
    await ctx.sleep(days=1)
    return [*done, await s.ship("tea")]


async def renamed(ctx: Context, s: Steps) -> list[Any]:
    done = [await ctx.step("reserve-item", s.reserve, "tea"), await s.price("tea")]
    await ctx.sleep(days=1)
    return [*done, await s.ship("tea")]


async def reordered(ctx: Context, s: Steps) -> list[Any]:
    done = [await s.price("tea"), await s.reserve("tea")]
    await ctx.sleep(days=1)
    return [*done, await s.ship("tea")]


async def inserted(ctx: Context, s: Steps) -> list[Any]:
    done = [await s.reserve("tea"), await s.ship("sample"), await s.price("tea")]
    await ctx.sleep(days=1)
    return [*done, await s.ship("tea")]


async def other_argument(ctx: Context, s: Steps) -> list[Any]:
    done = [await s.reserve("coffee"), await s.price("tea")]
    await ctx.sleep(days=1)
    return [*done, await s.ship("tea")]


async def removed(ctx: Context, s: Steps) -> list[Any]:
    done = [await s.reserve("tea")]
    await ctx.sleep(days=1)
    return [*done, await s.ship("tea")]


async def ends_early(ctx: Context, s: Steps) -> list[Any]:
    return [await s.reserve("tea")]


async def sleep_is_gone(ctx: Context, s: Steps) -> list[Any]:
    return [await s.reserve("tea"), await s.price("tea"), await s.ship("tea")]


CHANGES = [
    (renamed, {}, "step 'reserve' #1 of task 0 completed", "step 'reserve-item' #1 of task 0"),
    (reordered, {}, "step 'reserve' #1 of task 0 completed", "step 'price' #1 of task 0"),
    (inserted, {}, "step 'price' #1 of task 0 completed", "step 'ship' #1 of task 0"),
    (
        other_argument,
        {},
        "step 'reserve' #1 of task 0 with input fingerprint",
        "step 'reserve' #1 of task 0 with input",
    ),
    (removed, {}, "step 'price' #1 of task 0 completed", "timer 'sleep' #1 of task 0"),
    (
        ends_early,
        {},
        "step 'price' #1 of task 0 completed",
        "nothing: the code waits for no step, timer, child or signal here",
    ),
    (sleep_is_gone, {}, "timer 'sleep' #1 of task 0 started", "step 'ship' #1 of task 0"),
    (original, {"price_type": list[str]}, "a value written as another type (StepCompleted)", "does not fit its type"),
]


async def history_bytes(env: Environment) -> bytes:
    events: list[AnyEvent] = await env.store.history("A-1")
    return encode_segment(events)


@pytest.mark.parametrize(("body", "options", "recorded", "attempted"), CHANGES, ids=[c[0].__name__ for c in CHANGES])
def test_changed_code_is_refused_and_damages_nothing(
    body: Body, options: dict[str, Any], recorded: str, attempted: str
) -> None:
    """Both sides are in the message; the run stays RUNNING and stuck; its history keeps every byte; the old code
    finishes it."""
    env = Environment()
    old, new = app_with(original), app_with(body, **options)

    async def begin(env: Environment) -> bytes:
        await old.find_workflow("order").options(workflow_id="A-1").start("tea")
        await env.sleep(60)
        return await history_bytes(env)

    async def try_new_code(env: Environment) -> bytes:
        with pytest.raises(NonDeterminismError) as caught:
            await new.handle("A-1").result()
        error = caught.value
        assert recorded in error.recorded
        assert attempted in error.attempted
        lines = str(error).splitlines()
        assert lines[1].startswith("  recorded : ")
        assert lines[2].startswith("  attempted: ")
        await env.sleep(5)
        row = await new.handle("A-1").status()
        assert (row.state, row.detail) == (State.RUNNING, Detail.STUCK)
        assert "does not follow" in row.note
        return await history_bytes(env)

    async def go_on(env: Environment) -> list[Any]:
        result: list[Any] = await old.handle("A-1").result()
        return result

    before = env.run(old, begin)
    assert env.run(new, try_new_code) == before
    assert env.run(new, try_new_code) == before, "a second try changes nothing either"
    assert env.run(old, go_on) == ["reserved tea", 7, "shipped tea"]


def test_a_step_after_all_that_is_recorded_may_be_inserted() -> None:
    """What has not happened yet may be changed."""
    env = Environment()
    old = app_with(original)

    async def longer(ctx: Context, s: Steps) -> list[Any]:
        done = [await s.reserve("tea"), await s.price("tea")]
        await ctx.sleep(days=1)
        return [*done, await s.ship("a card"), await s.ship("tea")]

    new = app_with(longer)

    async def begin(env: Environment) -> None:
        await old.find_workflow("order").options(workflow_id="A-1").start("tea")
        await env.sleep(60)

    async def go_on(env: Environment) -> list[Any]:
        result: list[Any] = await new.handle("A-1").result()
        return result

    env.run(old, begin)
    assert env.run(new, go_on) == ["reserved tea", 7, "shipped a card", "shipped tea"]
