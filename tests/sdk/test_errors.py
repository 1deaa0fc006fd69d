"""How errors of user code travel, and how wrong uses are refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aeterna import App, Context, PermanentError, RetryPolicy, StepFailed, StepTimeoutError, WorkflowFailedError
from aeterna.durable.core import events as ev
from aeterna.kernel import errors
from aeterna.kernel.clock import sleep


class Declined(ValueError):
    pass


class Unbuildable(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


async def test_an_error_that_round_trips_is_rebuilt_and_another_is_step_failed() -> None:
    """Live already, so that an except clause decides the same on replay."""
    app = App("errors", store="memory:")
    seen: list[str] = []

    @app.step
    async def decline() -> None:
        raise Declined("no funds", 7)

    @app.step
    async def break_down() -> None:
        raise Unbuildable(5, "broken")

    @app.workflow
    async def flow(ctx: Context) -> str:
        try:
            await decline()
        except Declined as error:
            seen.append(f"{error.args} {'recorded by step' in error.__notes__[0]}")
        try:
            await break_down()
        except StepFailed as error:
            seen.append(f"{error.step} {error.error_type.rpartition('.')[2]} {error.error_message}")
        return "done"

    async with app:
        assert await flow.start_and_wait() == "done"
    assert seen == ["('no funds', 7) True", "break_down Unbuildable broken (5)"]


async def test_a_failed_workflow_raises_with_type_message_traceback_and_cause() -> None:
    """The recorded error is complete, and its own exception is the cause where it can be rebuilt."""
    app = App("errors", store="memory:")

    @app.workflow
    async def flow(ctx: Context) -> None:
        raise Declined("closed")

    async with app:
        handle = await flow.start()
        with pytest.raises(WorkflowFailedError) as caught:
            await handle.result()
        assert (await handle.status()).state == "FAILED"
    assert caught.value.error_type.endswith("Declined")
    assert caught.value.error_message == "closed"
    assert 'raise Declined("closed")' in caught.value.error_traceback
    assert isinstance(caught.value.__cause__, Declined)


async def test_a_step_is_retried_as_its_policy_says_and_the_attempts_are_recorded() -> None:
    """Two failures, then success at attempt three; each failure is an event with the time of the next attempt."""
    app = App("errors", store="memory:")
    attempts: list[int] = []

    @app.step(retry=RetryPolicy(maximum_attempts=3, initial_interval=0.001))
    async def flaky() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError("try again")
        return len(attempts)

    @app.workflow
    async def flow(ctx: Context) -> int:
        return await flaky()

    async with app:
        handle = await flow.start()
        assert await handle.result() == 3
        history = await (await app.engine()).store.history(handle.id)
    retries = [event for event in history if isinstance(event, ev.StepRetrying)]
    assert [event.attempt for event in retries] == [1, 2]
    assert retries[1].next_us - retries[1].at_us >= 2000
    [completed] = [event for event in history if isinstance(event, ev.StepCompleted)]
    assert completed.attempt == 3


@pytest.mark.parametrize(
    ("error", "policy", "expected"),
    [
        (PermanentError("stop"), RetryPolicy(maximum_attempts=5, initial_interval=0), 1),
        (Declined("x"), RetryPolicy(maximum_attempts=5, initial_interval=0, non_retryable=(ValueError,)), 1),
        (Declined("x"), RetryPolicy(maximum_attempts=5, initial_interval=0, non_retryable=("Declined",)), 1),
        (KeyError("x"), RetryPolicy(maximum_attempts=5, initial_interval=0, non_retryable=(ValueError,)), 5),
        (KeyError("x"), None, 1),
    ],
)
async def test_what_ends_retrying(error: Exception, policy: RetryPolicy | None, expected: int) -> None:
    """Permanent errors, listed types and names, the attempt limit, and no policy at all."""
    app = App("errors", store="memory:")
    attempts: list[int] = []

    @app.step(retry=policy)
    async def fail() -> None:
        attempts.append(1)
        raise error

    @app.workflow
    async def flow(ctx: Context) -> None:
        await fail()

    async with app:
        with pytest.raises(WorkflowFailedError):
            await flow.start_and_wait()
    assert len(attempts) == expected


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_step_over_its_timeout_fails_with_step_timeout_error(is_async: bool) -> None:
    """Async steps are cancelled; plain ones are given up while their thread ends by itself."""
    app = App("errors", store="memory:")
    release = asyncio.Event()

    async def slow() -> None:
        await release.wait()

    def slow_plain() -> None:
        import threading

        threading.Event().wait(0.3)

    step = app.step(timeout=0.05)(slow if is_async else slow_plain)

    @app.workflow
    async def flow(ctx: Context) -> str:
        try:
            await step()
        except StepTimeoutError as error:
            return str(error)
        return "no timeout"

    async with app:
        assert "ran longer than its timeout of 0.05 s" in await flow.start_and_wait()


async def test_an_unknown_run_and_a_foreign_workflow_id_are_refused() -> None:
    """Each error names the id and what is wrong with it."""
    app = App("errors", store="memory:")

    @app.workflow
    async def one(ctx: Context) -> int:
        return 1

    @app.workflow
    async def two(ctx: Context) -> int:
        return 2

    async with app:
        await one.options(workflow_id="A").start_and_wait()
        with pytest.raises(errors.WorkflowIdConflictError, match="'A' belongs to a run of workflow 'one', not 'two'"):
            await two.options(workflow_id="A").start()
        with pytest.raises(errors.RunNotFoundError, match="'B'"):
            await app.handle("B").result()
        with pytest.raises(errors.RunNotFoundError, match="'B'"):
            await app.handle("B").cancel()
        with pytest.raises(errors.InvalidStateError, match="COMPLETED already"):
            await app.handle("A").cancel()


async def test_the_same_workflow_id_is_the_same_run() -> None:
    """A second start with the id executes nothing and gives the first one's result."""
    app = App("errors", store="memory:")
    executions: list[int] = []

    @app.step
    async def once(n: int) -> int:
        executions.append(n)
        return n

    @app.workflow
    async def flow(ctx: Context, n: int) -> int:
        return await once(n)

    async with app:
        handles = await asyncio.gather(*[flow.options(workflow_id="same").start(n) for n in range(10)])
        results = {await handle.result() for handle in handles}
        assert results == {0}
        assert await flow.options(workflow_id="same").start_and_wait(99) == 0
    assert executions == [0]


def test_wrong_definitions_are_refused_at_registration() -> None:
    """Duplicates, generators, nameless lambdas, plain workflows and contradictions are named at once."""
    app = App("errors", store="memory:")

    @app.step
    async def one() -> None: ...

    @app.workflow
    async def flow(ctx: Context) -> None: ...

    with pytest.raises(errors.DuplicateNameError, match="step 'one' already"):
        app.step(name="one")(flow.fn)
    with pytest.raises(errors.DuplicateNameError, match="workflow 'flow' of version '1' already"):
        app.workflow(flow.fn)
    with pytest.raises(errors.ConfigurationError, match="generator"):
        app.step(lambda_generator)
    with pytest.raises(errors.ConfigurationError, match="needs a name"):
        app.step(lambda: 1)
    with pytest.raises(errors.ConfigurationError, match="not an async function"):
        app.workflow(name="plain")(lambda ctx: 1)  # type: ignore[arg-type, return-value]


def lambda_generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"store": "memory:", "persistence": "state-action-log"}, "contradict"),
        ({"store": "sqlite:///x.db", "persistence": "memory"}, "contradict"),
        ({"persistence": "snapshots"}, "'snapshots' is unknown: use one of 'memory', 'snapshot', 'state-action-log'"),
        ({"store": "mysql://x"}, "is no store"),
        ({"store": "sqlite:///"}, "is no store"),
        ({"retention": -1}, "retention is -1"),
    ],
)
def test_contradictions_of_an_app_are_errors(given: dict[str, Any], message: str) -> None:
    """Nothing is guessed: the message names both sides."""
    with pytest.raises(errors.ConfigurationError, match=message):
        App("errors", **given)


def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AETERNA_STORE counts where the app gives none, and a contradiction with it says so."""
    monkeypatch.setenv("AETERNA_STORE", f"sqlite:///{tmp_path}/env.db")
    app = App("errors")

    @app.workflow
    async def flow(ctx: Context) -> int:
        return 1

    assert app.run(flow) == 1
    assert (tmp_path / "env.db").exists()
    with pytest.raises(errors.ConfigurationError, match="the environment's AETERNA_STORE"):
        App("errors", persistence="memory")


async def test_a_timeout_of_the_wait_leaves_the_run_alone() -> None:
    """`handle.result(timeout=)` raises TimeoutError, and the run completes afterwards."""
    app = App("errors", store="memory:")
    release = asyncio.Event()

    @app.step
    async def wait() -> int:
        await release.wait()
        return 5

    @app.workflow
    async def flow(ctx: Context) -> int:
        return await wait()

    async with app:
        handle = await flow.start()
        with pytest.raises(TimeoutError, match="it goes on"):
            await handle.result(timeout=0.02)
        release.set()
        assert await handle.result(timeout=5) == 5


async def test_the_context_cannot_be_used_outside_workflow_code() -> None:
    """Inside a step, and after the run's end, it refuses with the reason instead of recording nonsense."""
    app = App("errors", store="memory:")
    kept: list[Context] = []

    @app.step
    async def misuse() -> str:
        try:
            await kept[0].sleep(1)
        except errors.NotDurableError as error:
            return str(error)
        return "accepted"

    @app.workflow
    async def flow(ctx: Context) -> str:
        kept.append(ctx)
        return await misuse()

    async with app:
        assert "outside the workflow's own code" in await flow.start_and_wait()


async def test_a_step_awaited_outside_a_workflow_just_runs() -> None:
    """Decorated functions stay usable in tests and in other steps, where nothing is recorded."""
    app = App("errors", store="memory:")

    @app.step
    async def inner(n: int) -> int:
        await sleep(0)
        return n + 1

    @app.step
    def plain(n: int) -> int:
        return n * 2

    @app.step
    async def outer(n: int) -> int:
        return await inner(n) + await plain(n)

    @app.workflow
    async def flow(ctx: Context) -> int:
        return await outer(10)

    assert await outer(1) == 4
    async with app:
        handle = await flow.start()
        assert await handle.result() == 31
        history = await (await app.engine()).store.history(handle.id)
    assert [event.name for event in history if isinstance(event, ev.StepCompleted)] == ["outer"]
