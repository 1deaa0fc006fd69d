"""The application: a namespace of workflows and steps, and what keeps them alive: an engine in this process, alone or
beside others that share a store or a server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

from aeterna.durable.core.events import Payload
from aeterna.durable.core.retry import RetryPolicy
from aeterna.durable.engine.durability import Durability
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.engine.program import StartOptions, WorkflowDefinition
from aeterna.durable.operations.world import World
from aeterna.durable.sdk.context import Context
from aeterna.durable.sdk.declarations import Declaring
from aeterna.durable.sdk.handle import Handle
from aeterna.durable.sdk.opened import Opened
from aeterna.durable.sdk.settings import Server, Settings, StoreAddress, resolve, server_of
from aeterna.durable.sdk.step import Step, StepOptions, define_step, to_us
from aeterna.durable.sdk.workflow import Workflow, WorkflowOptions
from aeterna.durable.stores.contract import Store
from aeterna.kernel.clock import Clock, SystemClock
from aeterna.kernel.errors import ConfigurationError, DuplicateNameError, InvalidStateError, UnknownWorkflowError
from aeterna.kernel.ids import new_run_id
from aeterna.kernel.limits import Limits

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Worker:
    """What this process takes on where others work, too: see `App.serve`."""

    queues: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()
    name: str = ""


class App(Declaring):
    """A namespace of workflows and steps.

    ``name``: the namespace, also the name of the default store. ``store``: ``sqlite:///PATH``, ``postgresql://...`` or
    ``memory:`` or a `Store` of your own; without it the environment's ``AETERNA_STORE``, else
    ``sqlite:///.aeterna/NAME.db``. ``server``: ``host:port`` (or several, or a `Server`) of a server that keeps the
    runs instead; without it and without ``store`` the environment's ``AETERNA_SERVER``. ``token``: what opens the
    server, else the environment's ``AETERNA_TOKEN``. ``persistence``: ``state-action-log`` (L2, the default),
    ``snapshot`` (L1; or a `Durability` to set its interval) or ``memory`` (L0). ``retention``: delete finished runs
    this long after their end.

    Raises `ConfigurationError` if store, server and persistence contradict each other.
    """

    def __init__(
        self,
        name: str,
        *,
        store: str | Store | None = None,
        server: str | Server | None = None,
        token: str | None = None,
        persistence: str | Durability | None = None,
        retention: timedelta | float | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.clock: Clock = SystemClock()
        self.limits = limits or Limits()
        self.worker = Worker()
        self.served: frozenset[tuple[str, str]] | None = None
        self.given_store = store if store is not None and not isinstance(store, str) else None
        retention_us = None if retention is None else to_us(retention, "retention")
        url = store if isinstance(store, str) else None
        self._settings = Settings(name, url, persistence, retention_us, server_of(server, token))
        self.address, self.durability = resolve(self._settings, is_store_given=self.given_store is not None)
        self._steps: dict[str, Step[..., Any]] = {}
        self._workflows: dict[tuple[str, str], Workflow[..., Any]] = {}
        self._opened = Opened(self)

    @property
    def server(self) -> Server | None:
        """The server that keeps its runs; None if there is none."""
        return self.address.server

    @property
    def retention_us(self) -> int | None:
        """How long finished runs are kept; None = for ever."""
        return self._settings.retention_us

    def configure(self, *, store: str | None = None, persistence: str | Durability | None = None) -> None:
        """Use another store or persistence than the app was made with; what is not given stays. For scripts and
        tests.

        Raises `ConfigurationError` if the two contradict each other, and `InvalidStateError` while the app is open.
        """
        if self._opened.is_open:
            raise InvalidStateError(f"app {self.name!r} is open: close it before its store or persistence changes")
        given = self._settings
        changed = replace(
            given,
            store=given.store if store is None else store,
            persistence=given.persistence if persistence is None else persistence,
        )
        if store is not None:
            changed = replace(changed, server=None)
        is_store_given = self.given_store is not None and store is None
        self.address, self.durability = resolve(changed, is_store_given=is_store_given)
        self._settings = changed
        self.given_store = self.given_store if is_store_given else None

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
    def activity(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def activity(self, fn: Callable[P, R], /) -> Step[P, R]: ...
    @overload
    def activity(
        self,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
    ) -> StepDecorator: ...

    def activity(
        self,
        fn: Any = None,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
    ) -> Any:
        """Make an activity of a function: a step that is retried, by ``RetryPolicy()`` unless ``retry`` is given, and
        that can tell how far it is (see `aeterna.activity`).

        ``heartbeat_timeout``: an attempt that is not heard of for so long has failed. The rest is as for `step`.
        """
        options = StepOptions(name, retry, timeout, heartbeat_timeout=heartbeat_timeout, is_activity=True)
        decorator = StepDecorator(self, options)
        return decorator if fn is None else decorator(fn)

    @overload
    def workflow(self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def workflow(
        self, *, name: str | None = None, version: str = "1", queue: str = "", requires: Iterable[str] = ()
    ) -> WorkflowDecorator: ...

    def workflow(
        self,
        fn: Any = None,
        *,
        name: str | None = None,
        version: str = "1",
        queue: str = "",
        requires: Iterable[str] = (),
    ) -> Any:
        """Make a workflow of an async function: ``@app.workflow`` or ``@app.workflow(name=..., version=...)``.

        A run is pinned to the version that started it: register the old version's function under the same name to let
        its runs end. ``queue``: where its runs wait for their turn. ``requires``: capabilities that a worker must have
        to execute them (see `App.serve`).

        Raises `DuplicateNameError` if the app has a workflow of that name and version.
        """
        decorator = WorkflowDecorator(self, name, WorkflowOptions(version, queue, tuple(requires)))
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
        return await self._opened.engine()

    async def world(self) -> World:
        """Where operations on runs work: at the server, or in this process's engine where there is none."""
        return await self._opened.world()

    async def own_world(self, run_id: str) -> OwnWorld | None:
        """The engine of this process, if there is no server or it has the run in memory."""
        return await self._opened.own_world(run_id)

    async def close(self) -> None:
        """Stop the engine; unfinished runs go on when the app is opened again. Idempotent."""
        await self._opened.close()

    async def start(
        self, definition: WorkflowDefinition, arguments: Payload, run_id: str, how: StartOptions | None
    ) -> str:
        """Start a run, or find the one that is meant; returns its id once that is durable. `Workflow.start` calls
        it."""
        return await self._opened.start(definition, arguments, run_id, how)

    def place(self, store: Store, clock: Clock) -> None:
        """Use this store and clock from the next opening on; raises `InvalidStateError` while the app is open."""
        if self._opened.is_open:
            raise InvalidStateError(f"app {self.name!r} is open: close it before it gets another store")
        self.given_store, self.clock, self.address = store, clock, StoreAddress("", None)

    @contextmanager
    def placed(self, store: Store, clock: Clock) -> Iterator[None]:
        """As `place`, until the block ends: how tests (see `aeterna.testing.Environment`) run an app."""
        before = (self.given_store, self.clock, self.address)
        self.place(store, clock)
        try:
            yield
        finally:
            self.given_store, self.clock, self.address = before

    def handle(self, run_id: str) -> Handle[Any]:
        """The handle of a run by its id; whether there is one shows when it is used."""
        return Handle(self, run_id)

    def new_run_id(self) -> str:
        """A new id: unique, and sorted by time."""
        return new_run_id()

    async def serve(
        self,
        workflows: Iterable[Workflow[..., Any]] | None = None,
        *,
        queues: Iterable[str] | None = None,
        capabilities: Iterable[str] = (),
        name: str = "",
    ) -> None:
        """Execute runs until SIGINT or SIGTERM (or cancellation), then leave them at their last recorded event.

        ``workflows``: take over runs of these only, and what they start as children; None = all of the app. Where
        several processes work on the runs: ``queues``: take over runs of these only, and of no queue; ``capabilities``:
        what this process has that a workflow may require; ``name``: what it is called in lists. Raises what made the
        engine fail,
        if it does.
        """
        self.worker = Worker(None if queues is None else tuple(queues), tuple(capabilities), name)
        if workflows is not None:
            places = {(workflow.name, workflow.definition.version) for workflow in workflows}
            unknown = places - set(self._workflows)
            if unknown:
                raise UnknownWorkflowError(
                    f"app {self.name!r} has no workflow {', '.join(repr(name) for name, _ in unknown)}"
                )
            self.served = frozenset(places)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            async with self:
                await (await self.engine()).run_until(stop)
        finally:
            self.served, self.worker = None, Worker()
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

    def __init__(self, app: App, name: str | None, options: WorkflowOptions) -> None:
        self._app = app
        self._name = name
        self._options = options

    def __call__(self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]:
        workflow = Workflow(self._app, fn, self._name or fn.__name__, self._options)
        self._app.add_workflow(workflow)
        return workflow
