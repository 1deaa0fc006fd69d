"""A worker's session that this process serves: what it can execute, how much room it has, and what it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.stores.contract import ANY, Choice, Message, Notice, RunRow


class Delivery(NamedTuple):
    """A run that now belongs to a session. ``history``: None = it could not be read, or not now."""

    row: RunRow
    history: Sequence[AnyEvent] | None
    inbox: Sequence[Message] = ()


class Outlet(Protocol):
    """The way to the worker. What is told is sent in order, or lost with the session."""

    def deliver(self, delivery: Delivery) -> None:
        """Hand a run over."""
        ...

    def tell(self, notice: Notice) -> None:
        """Pass a notice on; LOST says that the session is over."""
        ...

    def leave(self) -> None:
        """The process is about to end; the worker finds its session elsewhere."""
        ...

    def asks(self) -> Callable[[str, str, Payload], Awaitable[Payload]] | None:
        """How to put a query to the worker's code; None if it answers none."""
        ...


class Held(NamedTuple):
    """A run in a session's hands. ``parent``: the run that waits for it, perhaps."""

    id: str
    parent: str | None
    session: int = 0


class Attached:
    """One session. ``room``: how many runs more its worker takes; ``held``: by the runs' keys. ``room_max``: the worker
    takes so many at the same time, and does not say itself when it has room again; None = it does. ``capacity``: how
    many runs it says it executes at the same time, 0 = it does not say. ``expires_us``: the end of its lease, as far
    as is known here."""

    __slots__ = (
        "capacity",
        "choice",
        "expires_us",
        "held",
        "is_over",
        "lease_us",
        "number",
        "outlet",
        "room",
        "room_max",
    )

    def __init__(self, number: int, lease_us: int, outlet: Outlet, choice: Choice = ANY, capacity: int = 0) -> None:
        self.number = number
        self.expires_us = 0
        self.lease_us = lease_us
        self.outlet = outlet
        self.choice = choice
        self.capacity = capacity
        self.room = 0
        self.room_max: int | None = None
        self.held: dict[int, Held] = {}
        self.is_over = False

    def can_execute(self, workflow: str, version: str) -> bool:
        """Runs of it are among those that it takes over."""
        workflows = self.choice.workflows
        return workflows is None or (workflow, version) in workflows

    def can_take(self, row: RunRow) -> bool:
        """The run is among those that it takes over."""
        choice = self.choice
        is_listed = not row.queue or choice.queues is None or row.queue in choice.queues
        return is_listed and self.can_execute(row.workflow, row.version) and {*row.requires} <= {*choice.capabilities}

    def make_room(self) -> None:
        """Something that it held is done, or it takes more than before."""
        if self.room_max is not None and not self.is_over:
            self.room = max(0, self.room_max - len(self.held))
