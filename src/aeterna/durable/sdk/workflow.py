"""Workflows and the handles of their runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

import msgspec

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import Run
from aeterna.durable.core.states import State
from aeterna.durable.engine.execution import Execution
from aeterna.durable.engine.failures import rebuild_error
from aeterna.durable.engine.program import WorkflowDefinition
from aeterna.durable.engine.run_loop import current_execution
from aeterna.durable.sdk.context import Context
from aeterna.durable.sdk.step import annotations_of
from aeterna.durable.stores.contract import RunRow
from aeterna.kernel.errors import (
    ConfigurationError,
    InvariantError,
    NotDurableError,
    SerializationError,
    StepFailed,
    WorkflowCancelledError,
    WorkflowFailedError,
)
from aeterna.kernel.ids import check_run_id

if TYPE_CHECKING:
    from aeterna.durable.sdk.app import App

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a run is started. ``workflow_id``: its id; the same id is the same run. None = a new one."""

    workflow_id: str | None = None


class Workflow(Generic[P, R]):
    """A workflow: what `App.workflow` makes of an async function whose first argument is a `Context`."""

    def __init__(
        self, app: App, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], name: str, version: str
    ) -> None:
        if not inspect.iscoroutinefunction(function):
            raise ConfigurationError(
                f"workflow {name!r} is not an async function: write `async def`; plain code goes into steps"
            )
        self.fn = function
        self._app = app
        self._signature = inspect.signature(function)
        self._parameters = list(self._signature.parameters.values())[1:]
        if not self._signature.parameters:
            raise ConfigurationError(f"workflow {name!r} takes no argument: its first one must be the Context")
        self._annotations = annotations_of(function)
        self.definition = WorkflowDefinition(name, version, self._invoke, self._annotations.get("return", Any))
        self._start_options = StartOptions()
        self.__name__ = name
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    @property
    def name(self) -> str:
        """The name under which its runs are recorded."""
        return self.definition.name

    @property
    def app(self) -> App:
        """The app it belongs to."""
        return self._app

    def options(self, *, workflow_id: str | None = None) -> Workflow[P, R]:
        """The same workflow with other options for its next starts."""
        changed: Workflow[P, R] = Workflow.__new__(Workflow)
        changed.__dict__.update(self.__dict__)
        changed._start_options = replace(self._start_options, workflow_id=workflow_id)
        return changed

    async def start(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a run; returns once that is durable, and the run goes on by itself.

        With ``options(workflow_id=...)`` and a run of that id, finished or not, the handle is that run's and nothing
        is started."""
        if current_execution() is not None:
            raise NotDurableError(
                f"workflow code cannot start workflow {self.name!r} by itself, because a replay would start it again: "
                f"use ctx.child({self.name}, ...), or start it in a step"
            )
        arguments = self.encode_arguments(args, kwargs)
        engine = await self._app.engine()
        given = self._start_options.workflow_id
        run_id = self._app.new_run_id() if given is None else check_run_id(given)
        await engine.start_run(self.definition, arguments, run_id)
        return Handle(self._app, run_id, self.definition.result_type)

    async def start_and_wait(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Start a run and return its result."""
        handle = await self.start(*args, **kwargs)
        return await handle.result()

    def encode_arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Payload:
        """The arguments of one run as recorded.

        Raises `TypeError` if they do not fit the function's signature, and `SerializationError` if one cannot be
        recorded or would not be read back as its annotation says: a run that cannot begin is not created.
        """
        try:
            self._signature.bind(None, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"workflow {self.name!r}: {error}") from None
        what = f"the arguments of workflow {self.name!r}"
        payload = codec.encode([list(args), kwargs], what, self._app.limits.payload_bytes_max)
        self._decode_arguments(payload)
        return payload

    def _invoke(self, execution: Execution, arguments: Payload) -> Coroutine[Any, Any, R]:
        args, kwargs = self._decode_arguments(arguments)
        return self.fn(Context(execution), *args, **kwargs)

    def _decode_arguments(self, arguments: Payload) -> tuple[list[Any], dict[str, Any]]:
        args, kwargs = codec.decode(arguments, _RawArguments, f"the arguments of workflow {self.name!r}")
        names = self._positional_names(len(args))
        values = [self._decode_argument(name, raw) for name, raw in zip(names, args, strict=True)]
        return values, {name: self._decode_argument(name, raw) for name, raw in kwargs.items()}

    def _decode_argument(self, name: str, raw: msgspec.Raw) -> Any:
        what = f"argument {name!r} of workflow {self.name!r}"
        return codec.decode(Payload(codec.JSON_TAG + bytes(raw)), self._keyword_type(name), what)

    def _positional_names(self, count: int) -> list[str]:
        """The parameters that so many positional arguments belong to; a ``*rest`` may take several."""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        named = [parameter.name for parameter in self._parameters if parameter.kind in kinds]
        rest = [p.name for p in self._parameters if p.kind is inspect.Parameter.VAR_POSITIONAL]
        surplus = count - len(named)
        # More than the function takes is possible only in an old history; the call itself will say so.
        return (named + (rest or ["more"]) * surplus)[:count]

    def _keyword_type(self, name: str) -> Any:
        if name in self._annotations:
            return self._annotations[name]
        variadic = [p.name for p in self._parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
        return self._annotations.get(variadic[0], Any) if variadic else Any

    def __repr__(self) -> str:
        return f"<workflow {self.name!r}>"


_RawArguments = tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]


class Handle(Generic[R]):
    """One run, seen from outside."""

    def __init__(self, app: App, run_id: str, result_type: Any = Any) -> None:
        self.id = run_id
        self._app = app
        self._result_type = result_type

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - the run goes on when the wait ends
        """The result of the run, once it has completed.

        Raises `WorkflowFailedError` (its cause is the workflow's own error where that can be rebuilt),
        `WorkflowCancelledError`, `TimeoutError` after ``timeout`` seconds (the run goes on), or what keeps the run
        from ending here."""
        from aeterna.durable.operations.await_result import await_result

        run = await await_result(await self._app.engine(), self.id, timeout)
        return outcome_of(self.id, run, self._result_type)  # type: ignore[no-any-return]

    async def status(self) -> RunRow:
        """The run's row as of its last commit: state, detail, times."""
        from aeterna.durable.operations.describe import describe

        return await describe((await self._app.engine()).store, self.id)

    async def cancel(self, reason: str = "") -> None:
        """Ask the run to cancel; returns once the request is durable."""
        await (await self._app.engine()).cancel(self.id, reason)

    def __repr__(self) -> str:
        return f"<run {self.id!r}>"


def outcome_of(run_id: str, run: Run, result_type: Any = Any) -> Any:
    """The result of an ended run, or its error raised."""
    match run.state:
        case State.COMPLETED:
            assert run.result is not None
            return codec.decode(run.result, result_type, f"the result of run {run_id!r}")
        case State.CANCELLED:
            raise WorkflowCancelledError(
                f"run {run_id!r} was cancelled" + (f": {run.cancel_reason}" if run.cancel_reason else "")
            )
        case State.FAILED:
            assert run.error is not None
            record = run.error
            error = WorkflowFailedError(run_id, record.type.replace(":", "."), record.message, record.traceback)
            try:
                cause = rebuild_error(record, run.workflow)
            except SerializationError:
                raise error from None
            raise error from (None if isinstance(cause, StepFailed) else cause)
        case _:
            raise InvariantError(f"run {run_id!r} was published in state {run.state}")
