"""Starting runs: at once in this process where there is room, or queued for whoever has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import structs

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.execution import PYTHON
from aeterna.durable.engine.program import StartOptions, WorkflowDefinition
from aeterna.durable.stores.contract import Created, CreateRun, Exists, Notice, NoticeKind
from aeterna.kernel.errors import StoreError, WorkflowIdConflictError

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine


class Starts:
    """Creates the runs of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find_or_create(
        self,
        definition: WorkflowDefinition,
        arguments: ev.Payload,
        run_id: str,
        how: StartOptions | None = None,
    ) -> Created | Exists:
        """As `Engine.start_run`; tells which run it found instead, which with ``how.singleton`` may have another id."""
        outcome = await self.create(definition, arguments, run_id, None, how)
        if isinstance(outcome, Exists) and outcome.row.workflow != definition.name:
            raise WorkflowIdConflictError(
                f"workflow id {run_id!r} belongs to a run of workflow {outcome.row.workflow!r}, "
                f"not {definition.name!r}: choose another id"
            )
        return outcome

    def create(
        self,
        definition: WorkflowDefinition,
        arguments: ev.Payload,
        run_id: str,
        parent: str | None,
        how: StartOptions | None = None,
    ) -> asyncio.Future[Created | Exists]:
        """Create a run with the next commit, and begin it then if there is room; otherwise, and if ``how`` says so, it
        is queued."""
        now_us = self._engine.clock.now_us()
        affinity = "" if how is None else how.affinity
        created = ev.RunCreated(
            now_us, definition.name, definition.version, arguments, parent, PYTHON, affinity=affinity
        )
        if how is None and self._engine.residents.reserve():
            events: list[ev.AnyEvent] = [created, ev.RunStarted(now_us, self._engine.session)]
            write = self._creation(definition, run_id, parent, events, State.RUNNING)
            future = self._engine.journal.create(write)
            future.add_done_callback(lambda done: self._begin(done, definition, run_id, events))
            return future
        write = self._creation(definition, run_id, parent, [created], State.PENDING)
        future = self._engine.journal.create(write if how is None else _as_asked(write, how, now_us))
        future.add_done_callback(lambda done: self._queued(done, run_id, is_child=parent is not None))
        return future

    def _queued(self, done: asyncio.Future[Created | Exists], run_id: str, *, is_child: bool) -> None:
        # A failure concerns whoever asked, who may be gone by now; it is not to be reported as unheard.
        if done.cancelled() or done.exception() is not None:
            return
        self._engine.claims.queued()
        if self._engine.store.is_shared and isinstance(done.result(), Created):
            self._engine.store.notify([Notice(NoticeKind.RUNS)])
            if is_child and not self._engine.program.serves_all:
                # Perhaps nobody else serves it, and it is not among those that are claimed here.
                self._engine.claims.take_back(run_id)

    def _creation(
        self, definition: WorkflowDefinition, run_id: str, parent: str | None, events: list[ev.AnyEvent], state: State
    ) -> CreateRun:
        is_queued = state is State.PENDING
        detail = Detail.QUEUED if is_queued else Detail.LEASED
        owner = None if is_queued else self._engine.session
        return CreateRun(run_id, definition.name, definition.version, state, detail, owner, tuple(events), parent)

    def _begin(
        self,
        done: asyncio.Future[Created | Exists],
        definition: WorkflowDefinition,
        run_id: str,
        events: list[ev.AnyEvent],
    ) -> None:
        self._engine.residents.unreserve()
        self._engine.claims.room_made()
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or not self._engine.is_serving:
            return
        if error is not None:
            if self._engine.store.is_shared and isinstance(error, StoreError):
                # Perhaps only the answer was lost: then the run is this session's, and nobody would find it.
                self._engine.claims.take_back(run_id)
            return
        outcome = done.result()
        if isinstance(outcome, Created):
            self._engine.adopt(outcome, run_id, definition, events)


def _as_asked(write: CreateRun, how: StartOptions, now_us: int) -> CreateRun:
    """The creation of a run that waits for its turn."""
    return structs.replace(
        write,
        queue=how.queue,
        priority=how.priority,
        share=how.share,
        requires=how.requires,
        wake_us=now_us + how.delay_us if how.delay_us else None,
        singleton=how.singleton,
        debounce=how.debounce,
    )
