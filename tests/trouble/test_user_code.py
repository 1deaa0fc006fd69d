"""User code that misbehaves harms its own run at most: the engine and the other runs go on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aeterna import App, Context, WorkflowFailedError
from aeterna.durable.core.states import Detail
from aeterna.durable.stores.sqlite.store import SqliteStore
from aeterna.kernel import errors
from aeterna.kernel.errors import StoreFullError


class Outcome(BaseException):
    """As pytest's own: a BaseException that is no control flow."""


class Vector(Exception):
    """An exception whose attribute cannot be compared, as one that holds an array."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.part = Incomparable()


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raising(error: BaseException) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


BAD_STEPS: dict[str, Callable[[], Any]] = {
    "a BaseException": raising(Outcome("failed")),
    "an exit": lambda: sys.exit(3),
    "an incomparable error": raising(Vector("x")),
    "an error without text": raising(Mute()),
    "an undecodable text": raising(ValueError("file \udcff")),
    "StopIteration": lambda: next(iter([])),
    "a cancellation of its own": raising(asyncio.CancelledError()),
}


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("kind", list(BAD_STEPS))
async def test_a_step_fails_alone_whatever_it_raises(tmp_path: Path, kind: str, is_async: bool) -> None:
    """Its run ends FAILED, runs of the same moment complete, and further ones can be started."""
    app = App("user", store=f"sqlite:///{tmp_path}/user.db")
    bad = BAD_STEPS[kind]

    async def awaited() -> None:
        bad()

    step = app.step(name="bad")(awaited if is_async else bad)

    @app.step
    async def good(n: int) -> int:
        return n

    @app.workflow
    async def failing(ctx: Context) -> None:
        await step()

    @app.workflow
    async def fine(ctx: Context, n: int) -> int:
        return await good(n)

    async with app:
        failed = await failing.start()
        others = await asyncio.gather(*[fine.start(n) for n in range(5)])
        with pytest.raises(WorkflowFailedError):
            await failed.result(timeout=10)
        assert [await other.result(timeout=10) for other in others] == list(range(5))
        assert await fine.start_and_wait(7) == 7


async def test_a_failing_callback_of_a_workflow_stops_nothing() -> None:
    """It is reported, as asyncio reports it, and the run goes on."""
    app = App("user", store="memory:")

    @app.step
    async def fail() -> None:
        raise ValueError("no")

    @app.workflow
    async def flow(ctx: Context) -> str:
        task = asyncio.ensure_future(fail())
        task.add_done_callback(lambda done: done.result())
        try:
            await task
        except ValueError:
            return "caught"
        return "missed"

    async with app:
        assert await (await flow.start()).result(timeout=10) == "caught"


async def test_an_exit_in_workflow_code_fails_the_run_and_not_the_process() -> None:
    """SystemExit is the workflow's outcome."""
    app = App("user", store="memory:")

    @app.workflow
    async def flow(ctx: Context) -> None:
        sys.exit(3)

    async with app:
        with pytest.raises(WorkflowFailedError, match="SystemExit"):
            await (await flow.start()).result(timeout=10)


@pytest.mark.parametrize("kind", ["spins", "waits for nothing"])
async def test_a_workflow_that_cannot_go_on_is_stuck_with_the_reason(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for it hears why, and cancelling ends it."""
    monkeypatch.setattr("aeterna.durable.engine.run_loop.CALLBACKS_PER_DRAIN_MAX", 10_000)
    app = App("user", store="memory:")

    @app.workflow
    async def flow(ctx: Context) -> None:
        while kind == "spins":
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    async with app:
        handle = await flow.start()
        with pytest.raises(errors.NotDurableError, match=r"spin|cannot come"):
            await handle.result(timeout=10)
        assert (await handle.status()).detail is Detail.STUCK
        await handle.cancel()
        with pytest.raises(errors.WorkflowCancelledError):
            await handle.result(timeout=10)


async def test_a_workflow_whose_signature_changed_is_stuck_and_not_forgotten(tmp_path: Path) -> None:
    """The call of the new function fails before its code begins: the run says so and waits for other code."""
    store = f"sqlite:///{tmp_path}/user.db"
    first, second = App("user", store=store), App("user", store=store)

    @first.workflow(name="flow")
    async def one(ctx: Context) -> None:
        await ctx.sleep(0.2)

    @second.workflow(name="flow")
    async def two(ctx: Context, needed: int) -> None:
        await ctx.sleep(0.2)

    async with first:
        await one.options(workflow_id="w").start()
    async with second:
        engine = await second.engine()
        await engine.claims.fetch("w")
        with pytest.raises(TypeError, match="needed"):
            await second.handle("w").result(timeout=10)


async def test_a_step_cannot_change_what_the_workflow_holds() -> None:
    """Arguments are copies, of each attempt anew, as they would be on replay."""
    app = App("user", store="memory:")

    @app.step
    async def grow(items: list[int], *, more: dict[str, int]) -> int:
        items.append(1)
        more["x"] = 1
        return len(items)

    @app.workflow
    async def flow(ctx: Context) -> list[Any]:
        items: list[int] = []
        more: dict[str, int] = {}
        return [await grow(items, more=more), await grow(items, more=more), items, more]

    async with app:
        assert await flow.start_and_wait() == [1, 1, [], {}]


async def test_a_workflow_cannot_start_another_by_the_side() -> None:
    """The error names ctx.child."""
    app = App("user", store="memory:")

    @app.workflow
    async def other(ctx: Context) -> None: ...

    @app.workflow
    async def flow(ctx: Context) -> None:
        await other.start()

    async with app:
        with pytest.raises(WorkflowFailedError, match=r"ctx\.child"):
            await flow.start_and_wait()


@pytest.mark.parametrize("run_id", ["", "x" * 513, "a\udcff", "a\nb"])
async def test_a_workflow_id_that_cannot_be_stored_is_refused(run_id: str) -> None:
    """Empty, too long, and unprintable ids are the caller's error, before anything is written."""
    app = App("user", store="memory:")

    @app.workflow
    async def flow(ctx: Context) -> None: ...

    async with app:
        with pytest.raises(errors.UsageError, match="workflow id"):
            await flow.options(workflow_id=run_id).start()


async def test_cancelling_a_queued_child_tells_its_parent() -> None:
    """The parent sees the cancellation as the child's failure, though the child never ran."""
    from aeterna import Limits

    app = App("user", store="memory:", limits=Limits(running_runs_max=1))
    gate = asyncio.Event()

    @app.step
    async def hold() -> None:
        await gate.wait()

    @app.workflow
    async def blocker(ctx: Context) -> None:
        await hold()

    @app.workflow
    async def child(ctx: Context) -> None: ...

    @app.workflow
    async def parent(ctx: Context) -> str:
        await ctx.sleep(0.01)
        try:
            await ctx.child(child)
        except errors.WorkflowCancelledError:
            return "told"
        return "not told"

    async with app:
        handle = await parent.options(workflow_id="p").start()
        await blocker.start()
        store = (await app.engine()).store
        async with asyncio.timeout(10):
            while (row := await store.get_run("p/0:child:1")) is None or row.detail is not Detail.QUEUED:
                await (await app.engine()).journal.barrier()
        await app.handle("p/0:child:1").cancel()
        assert await handle.result(timeout=10) == "told"
        gate.set()


async def test_nested_timeouts_whose_cleanup_fails_do_not_leak_a_cancellation() -> None:
    """As with asyncio.timeout: the outer block ends by its own error, or not at all."""
    app = App("user", store="memory:")

    @app.workflow
    async def flow(ctx: Context) -> str:
        async with ctx.timeout(60):
            try:
                async with ctx.timeout(0.01):
                    try:
                        await ctx.sleep(60)
                    finally:
                        raise ValueError("cleanup")
            except ValueError:
                pass
            await ctx.sleep(0.01)
        return "done"

    async with app:
        assert await (await flow.start()).result(timeout=10) == "done"


def test_an_app_that_opened_itself_works_in_a_second_event_loop(tmp_path: Path) -> None:
    """The first loop ended without close(); the second one opens the app anew."""
    app = App("user", store=f"sqlite:///{tmp_path}/user.db")

    @app.workflow
    async def flow(ctx: Context, n: int) -> int:
        return n

    assert asyncio.run(flow.start_and_wait(1)) == 1
    assert asyncio.run(flow.start_and_wait(2)) == 2


async def test_serving_some_workflows_executes_their_children_too(tmp_path: Path) -> None:
    """Runs of the others are left alone, but a served workflow's child is executed, also after a restart."""
    app = App("user", store=f"sqlite:///{tmp_path}/user.db")
    reached = asyncio.Event()

    @app.step
    async def mark() -> None:
        reached.set()

    @app.workflow
    async def child(ctx: Context) -> int:
        await ctx.sleep(0.05)
        await mark()
        return 5

    @app.workflow
    async def parent(ctx: Context) -> int:
        return await ctx.child(child)

    async with app:
        handle = await parent.options(workflow_id="p").start()
        await child.options(workflow_id="alone").start()
    assert not reached.is_set()
    serving = asyncio.create_task(app.serve([parent]))
    try:
        await asyncio.wait_for(reached.wait(), 10)
        async with asyncio.timeout(10):
            while not (await handle.status()).state.is_final:
                await (await app.engine()).journal.barrier()
        assert (await app.handle("alone").status()).detail is Detail.STUCK
    finally:
        serving.cancel()
        await asyncio.wait([serving])
    async with app:
        assert await app.handle("alone").result(timeout=10) == 5


class OnceFull(SqliteStore):
    """A store whose disk is full once when runs are claimed."""

    is_full = True

    async def claim(self, session: int, now_us: int, limit: int, *choice: Any) -> Any:
        if self.is_full:
            self.is_full = False
            raise StoreFullError(f"{self.description} is full")
        return await super().claim(session, now_us, limit, *choice)


async def test_a_store_in_trouble_while_runs_are_claimed_is_asked_again(tmp_path: Path) -> None:
    """The engine lives on, and the run of the earlier process goes on once the store works."""

    def new_app() -> App:
        app = App("user", store=OnceFull(tmp_path / "user.db", "user"))

        @app.workflow
        async def flow(ctx: Context) -> int:
            await ctx.sleep(0.01)
            return 4

        return app

    async with new_app() as app:
        await app.find_workflow("flow").options(workflow_id="w").start()
    async with new_app() as app:
        assert await app.handle("w").result(timeout=10) == 4


class Broken(SqliteStore):
    """A store that answers an append with nonsense: a bug, as far as the engine can tell."""

    is_broken = False

    def commit_at_once(self, writes: Any) -> Any:
        if self.is_broken:
            raise ZeroDivisionError("a bug in the store")
        return super().commit_at_once(writes)

    async def commit(self, writes: Any) -> Any:
        if self.is_broken:
            raise ZeroDivisionError("a bug in the store")
        return await super().commit(writes)


async def test_an_engine_that_failed_says_so_to_everybody(tmp_path: Path) -> None:
    """Waiting callers, later starts and serve() hear of it instead of hanging; after close() the app opens anew."""
    store = Broken(tmp_path / "user.db", "user")
    app = App("user", store=store)
    gate = asyncio.Event()

    @app.step
    async def wait() -> int:
        await gate.wait()
        return 3

    @app.workflow
    async def flow(ctx: Context) -> int:
        return await wait()

    handle = await flow.options(workflow_id="w").start()
    serving = asyncio.create_task(app.serve())
    waiting = asyncio.create_task(handle.result())
    await (await app.engine()).journal.barrier()
    store.is_broken = True
    gate.set()
    with pytest.raises(errors.AeternaError):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(BaseException, match=r"failed|a bug in the store|unhandled"):
        await asyncio.wait_for(serving, 10)
    store.is_broken = False
    async with app:
        assert await app.handle("w").result(timeout=10) == 3
