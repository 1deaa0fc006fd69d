"""What the engine must know of user code: definitions, handed in by the SDK."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aeterna.durable.core.events import Payload
from aeterna.durable.core.retry import NO_RETRY, RetryPolicy

if TYPE_CHECKING:
    from aeterna.durable.engine.execution import Execution


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """A unit of work. ``function`` is async or plain (``is_async``); a plain one runs in a thread. ``result_type``
    shapes the recorded result when it is read. ``timeout_us`` bounds one attempt. ``pure``: no effect outside, so the
    run may go on before the result is committed, and running it again is harmless. ``is_activity``: its attempts may
    tell how far they are; ``heartbeat_timeout_us``: one that says nothing for so long has failed."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    retry: RetryPolicy = NO_RETRY
    timeout_us: int | None = None
    pure: bool = False
    result_type: Any = Any
    is_activity: bool = False
    heartbeat_timeout_us: int | None = None


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """A workflow. ``invoke(execution, arguments)`` makes the coroutine of one run from its recorded arguments."""

    name: str
    version: str
    invoke: Callable[[Execution, Payload], Coroutine[Any, Any, Any]]
    result_type: Any = Any


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a run starts, where it is not to begin at once in the process that asks for it.

    ``queue``: where it waits for its turn, by ``priority`` (lower is sooner) and fairly among each ``share``.
    ``delay_us``: not before so long. ``singleton``: while an unfinished run has the same, there is no second one; with
    ``debounce``, one that has not begun is given these arguments and this delay. ``requires``: capabilities of the
    worker. ``affinity``: runs that have the same one prefer the same worker."""

    queue: str = ""
    priority: int = 0
    share: str = ""
    delay_us: int = 0
    singleton: str | None = None
    debounce: bool = False
    requires: tuple[str, ...] = ()
    affinity: str = ""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """Workflow code asks for a step; ``context`` is a copy of the asking task's context variables."""

    definition: StepDefinition
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    fingerprint: bytes
    context: contextvars.Context


@dataclass(frozen=True, slots=True)
class TimerRequest:
    """Workflow code asks for a timer that fires at ``due_us``."""

    due_us: int


@dataclass(frozen=True, slots=True)
class ChildRequest:
    """Workflow code asks for a child run."""

    definition: WorkflowDefinition
    arguments: Payload
    fingerprint: bytes
    child: str


@dataclass(frozen=True, slots=True)
class SignalRequest:
    """Workflow code asks for the next signal of that name."""

    name: str


Request = StepRequest | TimerRequest | ChildRequest | SignalRequest


class Program:
    """The workflows that this process can execute, by name and version.

    ``served``: those whose runs it takes over by itself; None = all. The others are executed as children of these.
    """

    def __init__(self, served: frozenset[tuple[str, str]] | None = None) -> None:
        self._workflows: dict[tuple[str, str], WorkflowDefinition] = {}
        self._served = served

    def add(self, definition: WorkflowDefinition) -> bool:
        """Register a workflow; False if that name and version is taken."""
        place = (definition.name, definition.version)
        if place in self._workflows:
            return False
        self._workflows[place] = definition
        return True

    @property
    def serves_all(self) -> bool:
        """It takes over runs of every workflow it has."""
        return self._served is None

    def serves(self, definition: WorkflowDefinition) -> bool:
        """Runs of it that nobody owns are taken over."""
        return self._served is None or (definition.name, definition.version) in self._served

    def places(self) -> tuple[tuple[str, str], ...]:
        """The (name, version) of those whose runs it takes over."""
        return tuple(place for place, definition in self._workflows.items() if self.serves(definition))

    def find(self, name: str, version: str) -> WorkflowDefinition | None:
        """The definition that runs of this name and version are pinned to."""
        return self._workflows.get((name, version))

    def versions(self, name: str) -> list[str]:
        """The registered versions of a workflow, in order of registration."""
        return [version for known, version in self._workflows if known == name]

    def names(self) -> list[str]:
        """All registered workflow names."""
        return sorted({name for name, _ in self._workflows})
