"""The application: a namespace of workflows and steps, and the engine that keeps them alive in this process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

from aeterna.durable.core.retry import RetryPolicy
from aeterna.durable.engine.durability import Durability, Level
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.program import Program
from aeterna.durable.operations.control import ControlServer
from aeterna.durable.sdk.context import Context
from aeterna.durable.sdk.settings import Settings, StoreAddress, resolve
from aeterna.durable.sdk.step import Step, StepOptions, define_step, to_us
from aeterna.durable.sdk.workflow import Handle, Workflow
from aeterna.durable.stores.contract import Store
from aeterna.durable.stores.opening import open_store
from aeterna.kernel.clock import Clock, SystemClock
from aeterna.kernel.errors import ConfigurationError, DuplicateNameError, InvalidStateError, UnknownWorkflowError
from aeterna.kernel.ids import new_run_id
from aeterna.kernel.limits import Limits

P = ParamSpec("P")
R = TypeVar("R")


class App:
    """A namespace of workflows and steps.

    ``name``: the namespace, also the name of the default store. ``store``: ``sqlite:///PATH`` or ``memory:`` or a
    `Store` of your own; without it the environment's ``AETERNA_STORE``, else ``sqlite:///.aeterna/NAME.db``.
    ``persistence``: ``state-action-log`` (L2, the default), ``snapshot`` (L1; or a `Durability` to set its interval)
    or ``memory`` (L0). ``retention``: delete finished runs this long after their end. ``clock``: where the engine
    takes time from.

    Raises `ConfigurationError` if store and persistence contradict each other.
    """

    def __init__(
        self,
        name: str,
        *,
        store: str | Store | None = None,
        persistence: str | Durability | None = None,
        retention: timedelta | float | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._clock = clock or SystemClock()
        self.limits = limits or Limits()
        self._given_store = store if store is not None and not isinstance(store, str) else None
        retention_us = None if retention is None else to_us(retention, "retention")
        self._settings = Settings(name, store if isinstance(store, str) else None, persistence, retention_us)
        self._address, self._durability = resolve(self._settings, is_store_given=self._given_store is not None)
        self._steps: dict[str, Step[..., Any]] = {}
        self._workflows: dict[tuple[str, str], Workflow[..., Any]] = {}
        self._engine: Engine | None = None
        self._engine_loop: asyncio.AbstractEventLoop | None = None
        self._control: ControlServer | None = None
        self._opening: asyncio.Lock | None = None
        self._served: frozenset[tuple[str, str]] | None = None

    def configure(self, *, store: str | None = None, persistence: str | Durability | None = None) -> None:
        """Use another store or persistence than the app was made with; what is not given stays. For scripts and
        tests.

        Raises `ConfigurationError` if the two contradict each other, and `InvalidStateError` while the app is open.
        """
        if self._engine is not None:
            raise InvalidStateError(f"app {self.name!r} is open: close it before its store or persistence changes")
        given = self._settings
        changed = replace(
            given,
            store=given.store if store is None else store,
            persistence=given.persistence if persistence is None else persistence,
        )
        is_store_given = self._given_store is not None and store is None
        self._address, self._durability = resolve(changed, is_store_given=is_store_given)
        self._settings = changed
        self._given_store = self._given_store if is_store_given else None

    # Definitions.

    @overload
    def step(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def step(self, fn: Callable[P, R], /) -> Step[P, R]: ...
    @overload
    def step(
        self,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        pure: bool = False,
    ) -> StepDecorator: ...

    def step(
        self,
        fn: Any = None,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        pure: bool = False,
    ) -> Any:
        """Make a step of a function: ``@app.step`` or ``@app.step(name=..., retry=..., timeout=..., pure=...)``.

        ``retry``: a `RetryPolicy`; without one a step is attempted once. ``timeout``: bounds one attempt, in seconds
        or as a timedelta; a plain function that is over its timeout fails, though its thread runs on. ``pure``: no
        effect outside, so the run may go on before the result is committed.

        Raises `DuplicateNameError` if the app has a step of that name.
        """
        decorator = StepDecorator(self, StepOptions(name, retry, timeout, pure))
        return decorator if fn is None else decorator(fn)

    @overload
    def workflow(self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def workflow(self, *, name: str | None = None, version: str = "1") -> WorkflowDecorator: ...

    def workflow(self, fn: Any = None, *, name: str | None = None, version: str = "1") -> Any:
        """Make a workflow of an async function: ``@app.workflow`` or ``@app.workflow(name=..., version=...)``.

        A run is pinned to the version that started it: register the old version's function under the same name to let
        its runs end.

        Raises `DuplicateNameError` if the app has a workflow of that name and version.
        """
        decorator = WorkflowDecorator(self, name, version)
        return decorator if fn is None else decorator(fn)

    def add_step(self, step: Step[..., Any]) -> None:
        """Register a step under its name."""
        if step.name in self._steps:
            raise DuplicateNameError(f"app {self.name!r} has a step {step.name!r} already: give one of them name=")
        self._steps[step.name] = step

    def add_workflow(self, workflow: Workflow[..., Any]) -> None:
        """Register a workflow under its name and version."""
        place = (workflow.name, workflow.definition.version)
        if place in self._workflows:
            raise DuplicateNameError(
                f"app {self.name!r} has a workflow {workflow.name!r} of version {place[1]!r} already: "
                "give one of them name= or version="
            )
        self._workflows[place] = workflow

    @property
    def workflows(self) -> list[Workflow[..., Any]]:
        """The registered workflows, in order of registration."""
        return list(self._workflows.values())

    def find_workflow(self, name: str) -> Workflow[..., Any]:
        """The workflow of that name, its newest registration; raises `UnknownWorkflowError` that lists the names."""
        found = [workflow for workflow in self._workflows.values() if workflow.name == name]
        if not found:
            known = ", ".join(sorted({repr(workflow.name) for workflow in self._workflows.values()})) or "none"
            raise UnknownWorkflowError(f"app {self.name!r} has no workflow {name!r}; it has {known}")
        return found[-1]

    # Life.

    async def __aenter__(self) -> Self:
        await self.engine()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def engine(self) -> Engine:
        """The running engine of this event loop, opened on first use."""
        loop = asyncio.get_running_loop()
        if self._engine is not None and self._engine_loop is not None and self._engine_loop is not loop:
            if not self._engine_loop.is_closed():
                raise InvalidStateError(f"app {self.name!r} is open on another event loop: close it there first")
            # That loop ended without `close`, and took the engine with it.
            self._engine = self._control = None
        if self._opening is None or self._engine_loop is not loop:
            self._opening, self._engine_loop = asyncio.Lock(), loop
        if self._engine is None:
            async with self._opening:
                if self._engine is None:
                    self._engine = await self._open()
        self._engine.check()
        return self._engine

    async def _open(self) -> Engine:
        program = Program(self._served)
        for workflow in self._workflows.values():
            program.add(workflow.definition)
        options = EngineOptions(self._durability, self.limits, self._clock, self._settings.retention_us)
        engine = Engine(self._store(), program, options)
        await engine.start()
        try:
            self._control = ControlServer(engine, self._address.path)
            engine.at_end(self._control.abandon)
            await self._control.start()
        except BaseException:
            await engine.stop()
            raise
        return engine

    def _store(self) -> Store:
        if self._given_store is not None:
            return self._given_store
        return open_store(self._address.url, self.name, synchronous=self._durability.level is Level.LOG)

    async def close(self) -> None:
        """Stop the engine; unfinished runs go on when the app is opened again. Idempotent."""
        engine, self._engine = self._engine, None
        control, self._control = self._control, None
        if control is not None:
            await control.stop()
        if engine is not None:
            await engine.stop()

    def place(self, store: Store, clock: Clock) -> None:
        """Use this store and clock from the next opening on; raises `InvalidStateError` while the app is open."""
        if self._engine is not None:
            raise InvalidStateError(f"app {self.name!r} is open: close it before it gets another store")
        self._given_store, self._clock, self._address = store, clock, StoreAddress("", None)

    @contextmanager
    def placed(self, store: Store, clock: Clock) -> Iterator[None]:
        """As `place`, until the block ends: how tests (see `aeterna.testing.Environment`) run an app."""
        before = (self._given_store, self._clock, self._address)
        self.place(store, clock)
        try:
            yield
        finally:
            self._given_store, self._clock, self._address = before

    def handle(self, run_id: str) -> Handle[Any]:
        """The handle of a run by its id; whether there is one shows when it is used."""
        return Handle(self, run_id)

    def new_run_id(self) -> str:
        """A new id: unique, and sorted by time."""
        return new_run_id()

    async def serve(self, workflows: Iterable[Workflow[..., Any]] | None = None) -> None:
        """Execute runs until SIGINT or SIGTERM (or cancellation), then leave them at their last recorded event.

        ``workflows``: take over runs of these only, and what they start as children; None = all of the app. Raises
        what made the engine fail, if it does.
        """
        if workflows is not None:
            places = {(workflow.name, workflow.definition.version) for workflow in workflows}
            unknown = places - set(self._workflows)
            if unknown:
                raise UnknownWorkflowError(
                    f"app {self.name!r} has no workflow {', '.join(repr(name) for name, _ in unknown)}"
                )
            self._served = frozenset(places)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            async with self:
                await (await self.engine()).run_until(stop)
        finally:
            self._served = None
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def run(self, workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Start a run from a plain script and return its result: opens the app, waits, closes it.

        Unfinished runs of an earlier process go on meanwhile.
        """

        async def main() -> R:
            async with self:
                return await workflow.start_and_wait(*args, **kwargs)

        return asyncio.run(main())


class StepDecorator:
    """``@app.step(...)`` waiting for its function."""

    def __init__(self, app: App, options: StepOptions) -> None:
        self._app = app
        self._options = options

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Step[P, R]: ...

    def __call__(self, fn: Callable[..., Any], /) -> Any:
        if isinstance(fn, Step | Workflow) or not callable(fn):
            raise ConfigurationError(f"@app.step decorates a function, not {fn!r}")
        step: Step[..., Any] = Step(fn, define_step(fn, self._options))
        self._app.add_step(step)
        return step


class WorkflowDecorator:
    """``@app.workflow(...)`` waiting for its function."""

    def __init__(self, app: App, name: str | None = None, version: str = "1") -> None:
        self._app = app
        self._name = name
        self._version = version

    def __call__(self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]:
        workflow = Workflow(self._app, fn, self._name or fn.__name__, self._version)
        self._app.add_workflow(workflow)
        return workflow
