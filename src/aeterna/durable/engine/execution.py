"""One run in memory: workflow code on its own loop, fed with events, asking for work.

Synchronous and without side effects outside itself: events go in (`deliver`), requests come out (`take_requests`). It
neither knows where events come from nor who performs requests, so replay is nothing special: it is `deliver` in a
loop."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
import platform
import random
import uuid
from typing import Any

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.cursor import Cursor, Mismatch
from aeterna.durable.core.identity import Key, Kind, child_run_id, derive_seed, derive_uuid
from aeterna.durable.engine.failures import rebuild_error, record_error
from aeterna.durable.engine.program import (
    ChildRequest,
    Request,
    SignalRequest,
    StepDefinition,
    StepRequest,
    TimerRequest,
    WorkflowDefinition,
)
from aeterna.durable.engine.queries import Queries
from aeterna.durable.engine.run_loop import RunLoop, RunTask
from aeterna.durable.engine.signals import Signals
from aeterna.kernel.errors import Evicted, NonDeterminismError, NotDurableError, SerializationError

log = logging.getLogger("aeterna.engine")

PYTHON = ".".join(platform.python_version_tuple()[:2])
"""The minor release of this interpreter: asyncio's inner order, and so replay, is exact within one."""

_UNSET: Any = object()

_IMMUTABLE = frozenset({bool, bytes, float, int, str, type(None)})


class Wait:
    """Something workflow code waits for: ``future`` ends when its event is delivered. ``value`` is the decoded
    result, known before the event is committed when this process executed the step itself."""

    __slots__ = ("future", "key", "request", "value")

    def __init__(self, key: Key, request: Request, future: asyncio.Future[Any]) -> None:
        self.key = key
        self.request = request
        self.future = future
        self.value: Any = _UNSET


class Execution:
    """The living part of a run. ``is_replaying``: workflow code repeats what its history already holds;
    ``is_closing``: it is being left, and nothing it does is recorded any more. ``origin``: the id that what it draws
    follows from, '' = its own (see `ev.RunCreated`)."""

    def __init__(
        self, run_id: str, definition: WorkflowDefinition, payload_bytes_max: int, *, origin: str = ""
    ) -> None:
        self.run_id = run_id
        self._origin = origin or run_id
        self.definition = definition
        self.payload_bytes_max = payload_bytes_max
        self.now_us = 0
        self.cursor = Cursor()
        self.waits: dict[Key, Wait] = {}
        self.signals = Signals()
        self.queries = Queries()
        self.is_closing = False
        self.is_replaying = False
        # To the type checker the loop is abstract: what it lacks is there and refuses (see the end of run_loop).
        self._loop = RunLoop(self._origin, self)  # type: ignore[abstract]
        self._main: RunTask[Any] | None = None
        self._cancel_reason: str | None = None
        self._requests: list[Wait] = []
        self._abandoned: list[Wait] = []
        self._randoms: dict[str, random.Random] = {}
        self._python = ""

    # Events in.

    def replay(
        self, history: list[ev.AnyEvent], *, is_first_time: bool = False, started: ev.RunStarted | None = None
    ) -> None:
        """Deliver a recorded history. Nothing is executed; what is left to do afterwards is in `take_requests`.

        ``is_first_time``: no process has executed the run before, so its code is not silenced. ``started``: what is
        going to be recorded after the history. Raises `NonDeterminismError` if the code does not follow the history;
        the execution is of no further use then.
        """
        self.is_replaying = not is_first_time
        # The code's time begins with its first start: what it sleeps must not count while the run waited for its turn.
        first = next((event for event in history if type(event) is ev.RunStarted), started)
        self.now_us = 0 if first is None else first.at_us
        try:
            for event in history:
                self.deliver(event)
        finally:
            self.is_replaying = False
        self._requests = list(self.waits.values())
        self._abandoned.clear()

    def deliver(self, event: ev.AnyEvent) -> None:
        """Give one event to the workflow code and let the run settle.

        Raises `NonDeterminismError` if the code does not wait for it.
        """
        if not self.now_us or not _is_creation_of_fork(event):
            self.now_us = max(self.now_us, event.at_us)
        try:
            self._dispatch(event)
        except Mismatch as mismatch:
            raise NonDeterminismError(self.run_id, mismatch.recorded, mismatch.attempted, self._python_hint()) from None
        except SerializationError as error:
            raise NonDeterminismError(
                self.run_id, f"a value written as another type ({type(event).__name__})", str(error)
            ) from error
        self._loop.drain()

    def _dispatch(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.StepCompleted():
                wait = self._completed_wait(event)
                if wait is not None:
                    value = wait.value
                    if value is _UNSET:
                        value = codec.decode(event.result, _result_type(wait), f"the recorded result of {wait.key}")
                    self._resolve(wait, value)
            case ev.StepFailed() | ev.ChildFailed():
                wait = self._completed_wait(event)
                if wait is not None:
                    self._reject(wait, rebuild_error(event.error, event.name))
            case ev.ChildCompleted():
                wait = self._completed_wait(event)
                if wait is not None:
                    self._resolve(wait, codec.decode(event.result, _result_type(wait), f"the result of {wait.key}"))
            case ev.TimerFired():
                wait = self._completed_wait(event)
                if wait is not None:
                    self._resolve(wait, None)
            case ev.SignalReceived():
                self._receive(event.name, event.payload)
            case ev.TimerStarted() | ev.ChildStarted() | ev.StepRetrying() | ev.StepHeartbeat():
                self.cursor.check(event)
            case ev.CancelRequested():
                self._cancel(event.reason)
            case ev.RunCreated():
                self._begin(event)
            case _:
                # RunStarted, WaitAbandoned, pauses and the final events tell nothing that the code could wait for.
                pass

    def _begin(self, event: ev.RunCreated) -> None:
        self._python = event.python
        coroutine = self.definition.invoke(self, event.arguments)
        self._main = self._loop.start_main(coroutine, contextvars.Context())

    def _completed_wait(
        self, event: ev.StepCompleted | ev.StepFailed | ev.TimerFired | ev.ChildCompleted | ev.ChildFailed
    ) -> Wait | None:
        key = self.cursor.complete(event)
        return None if key is None else self.waits.pop(key)

    def _receive(self, name: str, payload: ev.Payload, *, is_returned: bool = False) -> None:
        wait = self.signals.receive(name, payload, is_returned=is_returned)
        if wait is not None:
            self.cursor.receive(wait.key)
            del self.waits[wait.key]
            self._resolve(wait, payload)

    def _resolve(self, wait: Wait, value: Any) -> None:
        if not wait.future.done():
            wait.future.set_result(value)

    def _reject(self, wait: Wait, error: BaseException) -> None:
        if not wait.future.done():
            wait.future.set_exception(error)

    def _cancel(self, reason: str) -> None:
        if self._cancel_reason is None and self._main is not None:
            self._cancel_reason = reason
            self._main.cancel(reason or "the run was cancelled")

    def _python_hint(self) -> str:
        if self._python and self._python != PYTHON:
            return f"  note     : the run was started on Python {self._python}, this is {PYTHON}"
        return ""

    # Requests out.

    def take_requests(self) -> list[Wait]:
        """What the code has asked for since the last call and still waits for, in order."""
        fresh, self._requests = self._requests, []
        return [wait for wait in fresh if wait.key in self.waits] if fresh else fresh

    def take_abandoned(self) -> list[Wait]:
        """What the code has given up since the last call."""
        if not self._abandoned:
            return self._abandoned
        given_up, self._abandoned = self._abandoned, []
        return given_up

    def outcome(self, now_us: int) -> ev.RunCompleted | ev.RunFailed | ev.RunCancelled | None:
        """The final event once the workflow function has ended, None before."""
        main = self._main
        if main is None or not main.done():
            return None
        self._end_stragglers()
        if main.cancelled():
            if self._cancel_reason is not None:
                return ev.RunCancelled(now_us, self._cancel_reason)
            return ev.RunFailed(now_us, record_error(asyncio.CancelledError("raised by the workflow itself")))
        error = main.exception()
        if error is not None:
            return ev.RunFailed(now_us, record_error(error))
        try:
            what = f"the result of workflow {self.definition.name!r}"
            payload = codec.encode(main.result(), what, self.payload_bytes_max)
            codec.decode(payload, self.definition.result_type, what)
        except SerializationError as problem:
            return ev.RunFailed(now_us, record_error(problem))
        return ev.RunCompleted(now_us, payload)

    def close(self) -> None:
        """Leave the workflow code: its ``finally`` blocks run, nothing it does is recorded any more."""
        if self.is_closing or self._main is None:
            self.is_closing = True
            return
        self.is_closing = True
        for wait in self.waits.values():
            self._reject(wait, Evicted("the run leaves the memory of this process"))
        self._loop.drain()
        self._end_stragglers()
        if not self._main.done():
            self._main.cancel()
            self._loop.drain()
        _forget(self._main)

    def _end_stragglers(self) -> None:
        """Cancel the tasks that the workflow function left behind, as `asyncio.run` does."""
        self.is_closing = True
        stragglers = self._loop.unfinished_tasks()
        for task in stragglers:
            task.cancel()
        self._loop.drain()
        for task in stragglers:
            _forget(task)

    def report_stray(self, context: dict[str, Any]) -> None:
        """An exception nobody awaited, or the like, from a task or future of this run."""
        if not self.is_closing and not self.is_replaying:
            log.error(
                "run %s: %s",
                self.run_id,
                context.get("message", "stray error"),
                exc_info=context.get("exception"),
                extra={"action": "stray_error", "run_id": self.run_id},
            )

    # What the SDK's context calls, from workflow code.

    async def wait_step(self, definition: StepDefinition, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Ask for a step and wait for its recorded result."""
        task = self._current_task(f"step {definition.name!r}")
        arguments, keywords = own_arguments(arguments), own_keywords(keywords)
        given = (arguments, keywords) if keywords else arguments
        mark = codec.fingerprint(given, f"the input of step {definition.name!r}")
        key = self.cursor.issue(Kind.STEP, task.path, definition.name, mark)
        request = StepRequest(definition, arguments, keywords, mark, contextvars.copy_context())
        return await self._wait(self._ask(key, request))

    async def wait_timer(self, name: str, duration_us: int) -> None:
        """Wait for a durable timer."""
        await self._wait(self.begin_timer(name, duration_us))

    def begin_timer(self, name: str, duration_us: int) -> Wait:
        """Set a durable timer; `give_up` ends it early."""
        task = self._current_task(f"ctx.{name}()")
        key = self.cursor.issue(Kind.TIMER, task.path, name)
        return self._ask(key, TimerRequest(self.now_us + duration_us))

    async def wait_child(self, definition: WorkflowDefinition, arguments: ev.Payload) -> Any:
        """Start a child run, or find the one started before, and wait for its result."""
        task = self._current_task(f"child workflow {definition.name!r}")
        mark = codec.fingerprint(bytes(arguments), "the child's arguments")
        key = self.cursor.issue(Kind.CHILD, task.path, definition.name, mark)
        request = ChildRequest(definition, arguments, mark, child_run_id(self.run_id, key))
        return await self._wait(self._ask(key, request))

    async def wait_signal(self, name: str) -> ev.Payload:
        """The next signal of that name: the first that came and was not taken, or the first to come."""
        task = self._current_task(f"ctx.wait_signal({name!r})")
        payload = self.signals.take(name)
        if payload is not None:
            return payload
        wait = self._ask(self.cursor.issue(Kind.SIGNAL, task.path, name), SignalRequest(name))
        self.signals.wait(name, wait)
        try:
            received: ev.Payload = await wait.future
        except asyncio.CancelledError:
            if wait.future.done() and not wait.future.cancelled() and not self.is_closing:
                # It came, and in the same moment the code gave up: whoever waits next gets it.
                self._receive(name, wait.future.result(), is_returned=True)
            self.give_up(wait)
            raise
        return received

    def draw_uuid(self) -> uuid.UUID:
        """The current task's next UUID."""
        task = self._current_task("ctx.uuid()")
        task.uuids += 1
        return derive_uuid(self._origin, task.path, task.uuids)

    def task_random(self) -> random.Random:
        """The current task's random generator."""
        path = self._current_task("ctx.random()").path
        if path not in self._randoms:
            self._randoms[path] = random.Random(derive_seed(self._origin, path))
        return self._randoms[path]

    def _current_task(self, what: str) -> RunTask[Any]:
        if self.is_closing:
            raise Evicted(f"{what} was called while the run leaves this process")
        task = asyncio.current_task() if asyncio._get_running_loop() is self._loop else None
        if not isinstance(task, RunTask):
            raise NotDurableError(
                f"{what} was called outside the workflow's own code (run {self.run_id!r}): a step, a thread or another "
                "task cannot use the workflow's context; do it in the workflow and pass the result in"
            )
        return task

    def give_up(self, wait: Wait) -> None:
        """The code does not wait for this any more; its late event will be passed over."""
        if not self.is_closing and self.cursor.abandon(wait.key):
            del self.waits[wait.key]
            if isinstance(wait.request, SignalRequest):
                self.signals.give_up(wait.request.name, wait)
            self._abandoned.append(wait)

    def _ask(self, key: Key, request: Request) -> Wait:
        wait = Wait(key, request, asyncio.Future(loop=self._loop))
        self.waits[key] = wait
        self._requests.append(wait)
        return wait

    async def _wait(self, wait: Wait) -> Any:
        try:
            return await wait.future
        except asyncio.CancelledError:
            self.give_up(wait)
            raise


def own_arguments(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments as a step gets them: what it changes in them nobody else sees, as a replay would not see it either."""
    for part in arguments:
        if type(part) not in _IMMUTABLE:
            return copy.deepcopy(arguments)
    return arguments


def own_keywords(keywords: dict[str, Any]) -> dict[str, Any]:
    """See `own_arguments`."""
    return copy.deepcopy(keywords) if keywords else keywords


def _result_type(wait: Wait) -> Any:
    request = wait.request
    return Any if isinstance(request, TimerRequest | SignalRequest) else request.definition.result_type


def _forget(task: RunTask[Any]) -> None:
    """Whatever became of the task is of no interest, and nothing is to be said about it when it is collected."""
    if task.done():
        if not task.cancelled():
            task.exception()
    else:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def _is_creation_of_fork(event: ev.AnyEvent) -> bool:
    """It comes after what the fork begins with, so that the time of the code is not its time."""
    return type(event) is ev.RunCreated and event.origin != ""
