"""What an operation gets: one namespace, seen from wherever it is carried out.

An engine in this process, a server's coordinator, a client of a server and a command that has a store to itself each
offer one, so that every verb is written once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import Run
from aeterna.durable.stores.contract import FullStore, Notice, Outcome, Write
from aeterna.kernel.clock import Clock
from aeterna.kernel.limits import Limits

P = ParamSpec("P")
R = TypeVar("R")


class World(Protocol):
    """One namespace."""

    @property
    def remote(self) -> object | None:
        """Where this world is a server's client, what has whole verbs carried out there: it has a method of the same
        name for each; those it has none for are carried out here. None: all of them are carried out here."""
        ...

    @property
    def executes(self) -> bool:
        """Its session executes runs, and sees to the messages of those that have not begun when it is told of them."""
        ...

    @property
    def store(self) -> FullStore:
        """Where its runs are; writes go through `commit`."""
        ...

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        ...

    @property
    def limits(self) -> Limits:
        """Bounds on what one run may record."""
        ...

    @property
    def session(self) -> int:
        """The session of this process, for claims by force."""
        ...

    async def commit(self, write: Write) -> Outcome:
        """Carry out the write in one transaction with everybody's; raises the `StoreError` if that fails."""
        ...

    def announce(self, *notices: Notice) -> None:
        """Tell who works on this namespace, here and elsewhere."""
        ...

    async def wait_end(self, run_id: str, timeout_s: float | None) -> Run | None:
        """Return once the run has ended, with the fold of its history if that is at hand; raises `TimeoutError`."""
        ...

    async def query(self, run_id: str, name: str, arguments: Payload, timeout_s: float) -> Payload:
        """Ask the process that has the run, or another one that has its code."""
        ...


def forwarded(
    operation: Callable[Concatenate[World, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[World, P], Coroutine[Any, Any, R]]:
    """For every verb: a client of a server has it carried out there, if it says so."""

    async def verb(world: World, /, *args: P.args, **kwargs: P.kwargs) -> R:
        there = getattr(world.remote, operation.__name__, None)
        if there is None:
            return await operation(world, *args, **kwargs)
        answer: R = await there(*args, **kwargs)
        return answer

    functools.update_wrapper(verb, operation)
    return verb
