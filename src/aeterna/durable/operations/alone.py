"""A world without an engine: a command that opened a store which nobody else has."""

from __future__ import annotations

from typing import NoReturn

from aeterna.durable.core.events import Payload
from aeterna.durable.stores.contract import FullStore, Notice, Outcome, Write
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import InvalidStateError
from aeterna.kernel.limits import Limits


class AloneWorld:
    """See `World`. Nothing is executed here, so what must be waited for does not come."""

    remote = None
    executes = False

    def __init__(self, store: FullStore, clock: Clock, session: int = 0) -> None:
        self.store = store
        self.clock = clock
        self.limits = Limits()
        self.session = session

    async def commit(self, write: Write) -> Outcome:
        """Write it now."""
        (outcome,) = await self.store.commit([write])
        return outcome

    def announce(self, *notices: Notice) -> None:
        """Tell the other processes, where the store has some."""
        self.store.notify(notices)

    async def wait_end(self, run_id: str, timeout_s: float | None) -> NoReturn:
        """Always raises `InvalidStateError`."""
        raise InvalidStateError(f"nothing executes run {run_id!r}: start the program that has its workflow")

    async def query(self, run_id: str, name: str, arguments: Payload, timeout_s: float) -> NoReturn:
        """Always raises `InvalidStateError`."""
        raise InvalidStateError(f"no process that has run {run_id!r} can be asked: start the program")
