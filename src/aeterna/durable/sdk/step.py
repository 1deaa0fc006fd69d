"""Steps: the functions whose results are recorded."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from aeterna.durable.core.retry import NO_RETRY, US_PER_S, RetryPolicy
from aeterna.durable.engine.program import StepDefinition
from aeterna.durable.engine.run_loop import current_execution
from aeterna.kernel.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")


class Step(Generic[P, R]):
    """A step: what `App.step` makes of a function.

    Awaited inside a workflow it runs as a recorded step, the same as ``ctx.step(function, ...)``. Awaited anywhere
    else it just runs. ``fn`` is the undecorated function."""

    def __init__(self, function: Callable[P, Any], definition: StepDefinition) -> None:
        self.fn = function
        self.definition = definition
        update_wrapper(self, function)

    @property
    def name(self) -> str:
        """The name under which its results are recorded."""
        return self.definition.name

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        execution = current_execution()
        result: Any
        if execution is not None:
            result = await execution.wait_step(self.definition, args, kwargs)
        elif self.definition.is_async:
            result = await self.fn(*args, **kwargs)
        else:
            result = self.fn(*args, **kwargs)
        return typing.cast("R", result)

    def options(
        self,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        pure: bool | None = None,
        heartbeat_timeout: float | timedelta | None = None,
    ) -> Step[P, R]:
        """The same step with other options for one use; what is not given stays. One with a heartbeat timeout is an
        activity."""
        given = self.definition
        changed = replace(
            given,
            name=given.name if name is None else name,
            retry=given.retry if retry is None else retry,
            timeout_us=given.timeout_us if timeout is None else to_us(timeout, "timeout"),
            pure=given.pure if pure is None else pure,
            is_activity=given.is_activity or heartbeat_timeout is not None,
            heartbeat_timeout_us=given.heartbeat_timeout_us
            if heartbeat_timeout is None
            else to_us(heartbeat_timeout, "heartbeat_timeout"),
        )
        return Step(self.fn, changed)

    def __repr__(self) -> str:
        return f"<step {self.name!r}>"


@dataclass(frozen=True, slots=True)
class StepOptions:
    """The options of `App.step` or `App.activity`, as given."""

    name: str | None = None
    retry: RetryPolicy | None = None
    timeout: float | timedelta | None = None
    pure: bool = False
    heartbeat_timeout: float | timedelta | None = None
    is_activity: bool = False


def define_step(function: Callable[..., Any], options: StepOptions = StepOptions()) -> StepDefinition:
    """The definition of a plain or async function as a step.

    Raises `ConfigurationError` for what cannot be one: a lambda without a name, a generator, a class.
    """
    name = options.name or getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        raise ConfigurationError('a step needs a name: ctx.step("name", function, ...) for a lambda or a partial')
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"step {name!r} is a generator; a step returns one value: collect the items into a list"
        )
    return StepDefinition(
        name=name,
        function=function,
        is_async=inspect.iscoroutinefunction(function),
        retry=options.retry or (RetryPolicy() if options.is_activity else NO_RETRY),
        timeout_us=None if options.timeout is None else to_us(options.timeout, "timeout"),
        pure=options.pure,
        result_type=result_type(function),
        is_activity=options.is_activity,
        heartbeat_timeout_us=None
        if options.heartbeat_timeout is None
        else to_us(options.heartbeat_timeout, "heartbeat_timeout"),
    )


def result_type(function: Callable[..., Any]) -> Any:
    """The type a function is annotated to return; Any if there is none or it cannot be resolved here."""
    return annotations_of(function).get("return", Any)


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The resolved annotations of a function, empty if a name in them cannot be resolved (``if TYPE_CHECKING``
    imports)."""
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}


def to_us(duration: float | timedelta, what: str) -> int:
    """A duration given in seconds or as a timedelta, in microseconds; raises `ConfigurationError` unless it is finite
    and >= 0."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not 0 <= seconds < 1e12:
        raise ConfigurationError(f"{what} is {duration!r}; give seconds (0 or more) or a timedelta")
    return round(seconds * US_PER_S)


AsyncFunction = Callable[P, Coroutine[Any, Any, R]]
"""An ``async def``."""
