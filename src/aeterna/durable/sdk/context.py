"""The workflow's context: everything a workflow may do besides computing."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from aeterna.durable.core import codec
from aeterna.durable.core.retry import NO_RETRY, US_PER_S, RetryPolicy
from aeterna.durable.engine.execution import Execution
from aeterna.durable.sdk.step import Step, StepOptions, define_step, to_us
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from aeterna.durable.sdk.workflow import Workflow

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Query = TypeVar("Query", bound=Callable[..., Any])


class Context:
    """Handed to every workflow as its first argument.

    Whatever it gives is the same on every replay: recorded results, times, random numbers.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.logger = logging.LoggerAdapter(
            logging.getLogger(f"aeterna.workflow.{execution.definition.name}"), {"run_id": execution.run_id}
        )

    @property
    def run_id(self) -> str:
        """The id of this run (also called its workflow id)."""
        return self._execution.run_id

    @property
    def is_replaying(self) -> bool:
        """True while the code repeats what the history already holds. For output only: never branch on it."""
        return self._execution.is_replaying

    @overload
    def step(self, fn: Step[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...
    @overload
    def step(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def step(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...
    @overload
    def step(self, name: str, fn: Step[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...
    @overload
    def step(
        self, name: str, fn: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def step(self, name: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...

    def step(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run a step and return its recorded result: ``await ctx.step(fn, ...)`` or ``await ctx.step("name", fn,
        ...)``.

        ``fn`` is a decorated step or any function, async or plain. A finished step is never executed again.
        """
        name, fn, args = _named(fn, args, "step")
        if isinstance(fn, Step):
            definition = fn.definition if name is None else fn.options(name=name).definition
        else:
            definition = define_step(fn, StepOptions(name=name))
        return self._execution.wait_step(definition, args, kwargs)

    @overload
    def activity(self, fn: Step[..., R], /, *args: Any, **options_and_keywords: Any) -> Coroutine[Any, Any, R]: ...
    @overload
    def activity(
        self, fn: Callable[..., Coroutine[Any, Any, R]], /, *args: Any, **options_and_keywords: Any
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def activity(self, fn: Callable[..., R], /, *args: Any, **options_and_keywords: Any) -> Coroutine[Any, Any, R]: ...
    @overload
    def activity(
        self, name: str, fn: Callable[..., Coroutine[Any, Any, R]], /, *args: Any, **options_and_keywords: Any
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def activity(
        self, name: str, fn: Callable[..., R], /, *args: Any, **options_and_keywords: Any
    ) -> Coroutine[Any, Any, R]: ...

    def activity(
        self,
        fn: Any,
        /,
        *args: Any,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run an activity, a step that is retried and can tell how far it is: ``await ctx.activity("name", fn, ...,
        retry=, timeout=, heartbeat_timeout=)``, or without a name.

        ``retry``: without one, that of the decorated step, else ``RetryPolicy()``. ``timeout`` bounds one attempt;
        ``heartbeat_timeout``: one that is not heard of for so long has failed (see `aeterna.activity`)."""
        name, fn, args = _named(fn, args, "activity")
        step = fn if isinstance(fn, Step) else Step(fn, define_step(fn, StepOptions(name)))
        if retry is None and step.definition.retry is NO_RETRY:
            retry = RetryPolicy()
        changed = step.options(name=name, retry=retry, timeout=timeout, heartbeat_timeout=heartbeat_timeout)
        definition = replace(changed.definition, is_activity=True)
        return self._execution.wait_step(definition, args, kwargs)

    @overload
    def wait_signal(self, name: str, *, timeout: float | timedelta | None = None) -> Coroutine[Any, Any, Any]: ...
    @overload
    def wait_signal(
        self, name: str, kind: type[T], *, timeout: float | timedelta | None = None
    ) -> Coroutine[Any, Any, T]: ...

    async def wait_signal(self, name: str, kind: Any = Any, *, timeout: float | timedelta | None = None) -> Any:  # noqa: ASYNC109 - a durable one
        """Wait for a signal of that name and return its payload, as a ``kind`` if one is given.

        Signals that came before are kept: of one name, they are handed out in the order in which they came, each once.
        Raises `TimeoutError` if none comes within ``timeout`` (a durable timer), and `SerializationError` for a payload
        that is no ``kind``."""
        if timeout is None:
            payload = await self._execution.wait_signal(name)
        else:
            try:
                async with self.timeout(timeout):
                    payload = await self._execution.wait_signal(name)
            except TimeoutError:
                raise TimeoutError(f"no signal {name!r} came within {timeout}") from None
        return codec.decode(payload, kind, f"the payload of signal {name!r}")

    async def wait_any(self, *awaitables: Awaitable[T]) -> tuple[int, T]:
        """Wait for the first of several, ``await ctx.wait_any(ctx.wait_signal("yes"), ctx.sleep(60))``: returns its
        place, from 0, and its result, or raises its error. The others are cancelled, and signals that they wait for are
        kept. Raises `UsageError` for none.
        """
        if not awaitables:
            raise UsageError("ctx.wait_any() waits for the first of several: give it one at least")
        tasks: list[asyncio.Future[T]] = []
        try:
            for awaitable in awaitables:
                tasks.append(asyncio.ensure_future(awaitable))
                # One that can end at once does so now, and those after it never begin: they would take their signals.
                await sleep(0)
                if any(task.done() for task in tasks):
                    break
            else:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for unused in awaitables[len(tasks) :]:
                if inspect.iscoroutine(unused):
                    unused.close()
            rest = [task for task in tasks if not task.done()]
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest)
        place = next(index for index, task in enumerate(tasks) if task.done() and task not in rest)
        return place, tasks[place].result()

    def query(self, fn: Query, /, *, name: str | None = None) -> Query:
        """Let a plain function answer ``handle.query("name", ...)`` from now on: ``@ctx.query``, or
        ``ctx.query(function, name=...)``.

        It reads the workflow's variables and changes nothing. It answers after the run's end, too, and in any process
        that has the code."""
        self._execution.queries.register(fn.__name__ if name is None else name, fn)
        return fn

    async def parallel(self, branches: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Run branches at the same time and return their results in the order given.

        ``branches`` are functions that return awaitables. The first failure cancels the others, waits until they have
        ended, and is raised."""

        async def run(branch: Callable[[], Awaitable[T]]) -> T:
            return await branch()

        tasks = [asyncio.create_task(run(branch)) for branch in branches]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            raise

    def as_completed(self, awaitables: Iterable[Awaitable[T]]) -> Iterator[Awaitable[T]]:
        """Awaitables of the same results in the order in which they come, which is recorded."""
        tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
        return iter(asyncio.as_completed(tasks))

    async def sleep(
        self,
        duration: float | timedelta = 0.0,
        *,
        seconds: float = 0.0,
        minutes: float = 0.0,
        hours: float = 0.0,
        days: float = 0.0,
    ) -> None:
        """Sleep durably: the time runs on while the process is down. ``duration`` is in seconds or a timedelta."""
        await self._execution.wait_timer("sleep", _total_us(duration, timedelta(days, seconds, 0, 0, minutes, hours)))

    @asynccontextmanager
    async def timeout(self, duration: float | timedelta) -> AsyncIterator[None]:
        """Bound a block by a durable timer; raises `TimeoutError` when it is over first, as `asyncio.timeout`
        does."""
        task = asyncio.current_task()
        assert task is not None
        wait = self._execution.begin_timer("timeout", to_us(duration, "timeout"))
        cancelled_before = task.cancelling()
        expired = False

        def expire(_: object) -> None:
            nonlocal expired
            if not wait.future.cancelled() and wait.future.exception() is None:
                expired = True
                task.cancel()

        wait.future.add_done_callback(expire)
        try:
            yield
        except BaseException as error:
            # Our own cancellation is taken back on every way out, or an outer block would take it for somebody else's.
            is_ours = expired and task.uncancel() <= cancelled_before
            if is_ours and isinstance(error, asyncio.CancelledError):
                raise TimeoutError(f"the block took longer than {duration}") from None
            raise
        else:
            if expired:
                task.uncancel()
        finally:
            wait.future.remove_done_callback(expire)
            self._execution.give_up(wait)

    def child(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run another workflow as a child and return its result.

        The child is a run of its own, with an id that follows from this one's. Cancelling the wait cancels the child.
        """
        return self._execution.wait_child(workflow.definition, workflow.encode_arguments(args, kwargs))

    def now(self) -> datetime:
        """The time of the last recorded event, in UTC."""
        return datetime.fromtimestamp(self._execution.now_us / US_PER_S, UTC)

    def uuid(self) -> uuid.UUID:
        """A new UUID."""
        return self._execution.draw_uuid()

    def random(self) -> random.Random:
        """The random generator of the calling task: ``ctx.random().randint(1, 6)``. Not for secrets."""
        return self._execution.task_random()


def _named(fn: Any, args: tuple[Any, ...], verb: str) -> tuple[str | None, Any, tuple[Any, ...]]:
    """The name if one is given, the function, and its arguments."""
    name: str | None = None
    if isinstance(fn, str):
        name, fn, args = fn, (args[0] if args else None), args[1:]
    if not callable(fn):
        raise ConfigurationError(f'ctx.{verb} takes a function: ctx.{verb}(fn, ...) or ctx.{verb}("name", fn, ...)')
    return name, fn, args


def _total_us(duration: float | timedelta, parts: timedelta) -> int:
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return to_us(seconds + parts.total_seconds(), "the duration of ctx.sleep")
