"""Child runs: started once, cancelled with the wait for them, and their end brought to the parent, wherever it is.

A child's id follows from its parent's, so starting it again finds it; and its end stays in its own history. Nothing
between the two runs needs to be atomic: whatever a crash cut off, the parent's replay asks for the child again and
finds what there is."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from aeterna.durable.engine.background import RETRY_S
from aeterna.durable.engine.failures import record_error
from aeterna.durable.engine.program import ChildRequest
from aeterna.durable.engine.runner import Runner
from aeterna.durable.stores.contract import Created, Exists
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import (
    InvalidStateError,
    RunNotFoundError,
    WorkflowCancelledError,
)

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine

log = logging.getLogger("aeterna.engine")


class Children:
    """The parents and children among one engine's runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parents: dict[str, str] = {}

    def awaited(self) -> list[str]:
        """The children that runs in memory wait for, wherever they are executed."""
        gone = [child for child, parent in self._parents.items() if not self._engine.is_resident(parent)]
        for child in gone:
            del self._parents[child]
        return list(self._parents)

    def is_awaited(self, child: str) -> bool:
        """A run that was in memory waits for it."""
        return child in self._parents

    def start(self, parent: Runner, request: ChildRequest) -> None:
        """Create the child unless it exists; `Runner.child_ended` of the parent is called when it has ended."""
        self._parents[request.child] = parent.id
        future = self._engine.starts.create(request.definition, request.arguments, request.child, parent.id)
        future.add_done_callback(lambda done: self._created(done, parent, request))

    def cancel(self, parent: Runner, child: str) -> None:
        """The parent does not wait for the child any more; `Runner.child_given_up` is called when that is durable."""
        self._parents.pop(child, None)
        self._engine.background.do(lambda: self._cancel(parent, child))

    def ended(self, parent: str, child: str) -> None:
        """A run that has a parent has ended."""
        self._parents.pop(child, None)
        self._engine.background.do(lambda: self._tell(parent, child))

    def ended_elsewhere(self, child: str) -> None:
        """A run has ended in another process; a parent in this one may wait for it."""
        parent = self._parents.get(child)
        if parent is not None:
            self.ended(parent, child)

    def _created(self, done: asyncio.Future[Created | Exists], parent: Runner, request: ChildRequest) -> None:
        if done.cancelled():
            return
        # Asked first, so that the failure of one whose parent is gone is not reported as unheard.
        has_failed = done.exception() is not None
        if parent.is_ended:
            return
        if has_failed:
            self._engine.background.do(lambda: self._start_later(parent, request))
            return
        outcome = done.result()
        if isinstance(outcome, Exists) and outcome.row.state.is_final:
            self.ended(parent.id, request.child)

    async def _start_later(self, parent: Runner, request: ChildRequest) -> None:
        """The store refused a commit; after a while, and once what is kept of the parent is committed, ask again."""
        await sleep(RETRY_S)
        await self._engine.journal.barrier()
        if not parent.is_ended:
            self.start(parent, request)

    async def _cancel(self, parent: Runner, child: str) -> None:
        # Its creation may be on its way.
        await self._engine.journal.barrier()
        try:
            await self._engine.cancel(child, "the parent run gave it up")
        except (InvalidStateError, RunNotFoundError):
            log.debug("child %s had ended", child, extra={"action": "cancel_child", "run_id": child})
        parent.child_given_up(child)

    async def _tell(self, parent: str, child: str) -> None:
        engine = self._engine
        run = fold(await engine.store.history(child))
        if run.state is None or not run.state.is_final:
            return
        runner = engine.residents.get(parent) or await engine.claims.fetch(parent)
        if runner is None:
            # The parent has ended, or will ask for the child again, and find that it ended, when it is next loaded.
            return
        error = run.error
        if run.state is State.CANCELLED:
            error = record_error(WorkflowCancelledError(f"child run {child!r} was cancelled"))
        runner.child_ended(child, run.result, error)
