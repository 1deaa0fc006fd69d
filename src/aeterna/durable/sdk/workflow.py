"""Workflows and the handles of their runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack

import msgspec

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.durable.engine.execution import Execution
from aeterna.durable.engine.program import StartOptions, WorkflowDefinition
from aeterna.durable.engine.run_loop import current_execution
from aeterna.durable.sdk.context import Context
from aeterna.durable.sdk.handle import Handle
from aeterna.durable.sdk.run_options import RunOptions, start_options
from aeterna.durable.sdk.step import annotations_of
from aeterna.kernel.errors import ConfigurationError, NotDurableError
from aeterna.kernel.ids import check_run_id

if TYPE_CHECKING:
    from aeterna.durable.sdk.app import App

P = ParamSpec("P")
R = TypeVar("R")
PLAIN = StartOptions()


@dataclass(frozen=True, slots=True)
class WorkflowOptions:
    """What `App.workflow` was given: ``queue``, where runs wait for their turn, and what a worker must have."""

    version: str = "1"
    queue: str = ""
    requires: tuple[str, ...] = ()


class Workflow(Generic[P, R]):
    """A workflow: what `App.workflow` makes of an async function whose first argument is a `Context`."""

    def __init__(
        self,
        app: App,
        function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]],
        name: str,
        options: WorkflowOptions,
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
        self.definition = WorkflowDefinition(name, options.version, self._invoke, self._annotations.get("return", Any))
        self._workflow_id: str | None = None
        self._start_options = StartOptions(queue=options.queue, requires=options.requires)
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

    def options(self, **options: Unpack[RunOptions]) -> Workflow[P, R]:
        """The same workflow with other options for its next starts (see `RunOptions`); what is not given stays.

        Raises `ConfigurationError` for options that contradict each other."""
        changed: Workflow[P, R] = Workflow.__new__(Workflow)
        changed.__dict__.update(self.__dict__)
        run_id = options.get("workflow_id")
        changed._workflow_id = self._workflow_id if run_id is None else run_id
        changed._start_options = start_options(self._start_options, self.name, options)
        return changed

    @property
    def start_options(self) -> StartOptions | None:
        """How the next start differs from a plain one; None if it does not."""
        return None if self._start_options == PLAIN else self._start_options

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
        given = self._workflow_id
        run_id = self._app.new_run_id() if given is None else check_run_id(given)
        found = await self._app.start(self.definition, arguments, run_id, self.start_options)
        return Handle(self._app, found, self.definition.result_type)

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
