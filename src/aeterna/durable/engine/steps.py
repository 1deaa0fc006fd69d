"""Executes one attempt of a step: user code, outside workflow code, on the real loop or in a thread."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aeterna.durable.core import codec
from aeterna.durable.core.events import ErrorRecord, Payload
from aeterna.durable.engine.execution import own_arguments, own_keywords
from aeterna.durable.engine.failures import record_error
from aeterna.durable.engine.heartbeat import Pulse
from aeterna.durable.engine.program import StepDefinition, StepRequest
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import PermanentError, SerializationError, StepTimeoutError


@dataclass(frozen=True, slots=True)
class Returned:
    """The attempt returned; ``value`` is what a reader of ``payload`` gets."""

    payload: Payload
    value: Any
    duration_us: int


@dataclass(frozen=True, slots=True)
class Raised:
    """The attempt raised; ``retry_after_us`` is how long to wait before the next one, None = there is none."""

    error: ErrorRecord
    retry_after_us: int | None
    duration_us: int


@dataclass(frozen=True, slots=True)
class NotBegun:
    """When its turn had come, the attempt was not allowed to begin any more."""


class _NotBegunSignal(BaseException):
    """See `NotBegun`."""


class StepExecutor:
    """Runs attempts and turns what comes of them into records."""

    def __init__(self, clock: Clock, payload_bytes_max: int, threads_max: int) -> None:
        self._clock = clock
        self._payload_bytes_max = payload_bytes_max
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix="aeterna-step")

    def close(self) -> None:
        """Take no more plain functions; those that run cannot be stopped and are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def attempt(
        self, request: StepRequest, number: int, may_begin: Callable[[], bool], pulse: Pulse | None = None
    ) -> Returned | Raised | NotBegun:
        """Attempt number ``number`` (from 1). Cancelling it cancels an async step; a plain one goes on unheard.

        ``may_begin`` is asked at the last moment, in the thread that then calls the step: one may have waited for its
        thread for long. ``pulse``: that of an activity's attempt."""
        definition = request.definition
        began_us = self._clock.monotonic_us()
        try:
            value = await self._call(definition, request, may_begin, pulse)
            what = f"the result of step {definition.name!r}"
            payload = codec.encode(value, what, self._payload_bytes_max)
            value = codec.decode(payload, definition.result_type, what)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this attempt, so the step itself raised it, and that is a failure like any other.
            return self._raised(definition, number, error, began_us)
        except _NotBegunSignal:
            return NotBegun()
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the boundary to user code: whatever it raises is its result
            return self._raised(definition, number, error, began_us)
        return Returned(payload, value, self._clock.monotonic_us() - began_us)

    async def _call(
        self, definition: StepDefinition, request: StepRequest, may_begin: Callable[[], bool], pulse: Pulse | None
    ) -> Any:
        execution = self._execute(definition, request, may_begin)
        if pulse is not None:
            execution = pulse.watch(execution, definition.heartbeat_timeout_us)
        if definition.timeout_us is None:
            return await execution
        scope = asyncio.timeout(definition.timeout_us / 1e6)
        try:
            async with scope:
                return await execution
        except TimeoutError as error:
            if not scope.expired():
                raise
            seconds = definition.timeout_us / 1e6
            raise StepTimeoutError(f"step {definition.name!r} ran longer than its timeout of {seconds:g} s") from error

    async def _execute(self, definition: StepDefinition, request: StepRequest, may_begin: Callable[[], bool]) -> Any:
        # Each attempt gets arguments that no earlier one has changed.
        arguments, keywords = own_arguments(request.arguments), own_keywords(request.keywords)
        if definition.is_async:
            if not may_begin():
                raise _NotBegunSignal
            return await definition.function(*arguments, **keywords)
        context = contextvars.copy_context()

        def call() -> Any:
            if not may_begin():
                raise _NotBegunSignal
            try:
                return context.run(definition.function, *arguments, **keywords)
            except StopIteration as error:
                # A future cannot hold this one, and whoever waits for it would wait for ever.
                raise RuntimeError("the step raised StopIteration") from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _raised(self, definition: StepDefinition, number: int, error: BaseException, began_us: int) -> Raised:
        retry_after_us = None
        if isinstance(error, Exception) and not isinstance(error, PermanentError | SerializationError):
            retry_after_us = definition.retry.wait_us(number, error)
        return Raised(record_error(error), retry_after_us, self._clock.monotonic_us() - began_us)
