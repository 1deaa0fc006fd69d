"""The engine: keeps the runs of one session alive, in this process.

It owns the journal, the timers and the resident runs, and follows one life: `start`, then `stop`, once. Whatever
happens in between, a later engine on the same store goes on where this one was."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine import guard
from aeterna.durable.engine.cancellation import cancel
from aeterna.durable.engine.children import Children
from aeterna.durable.engine.claims import Claims
from aeterna.durable.engine.execution import PYTHON, Execution, Wait
from aeterna.durable.engine.journal import Journal
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.program import ChildRequest, Program, WorkflowDefinition
from aeterna.durable.engine.residents import Residents
from aeterna.durable.engine.retention import serve_retention
from aeterna.durable.engine.run_log import RunLog
from aeterna.durable.engine.runner import Runner
from aeterna.durable.engine.steps import StepExecutor
from aeterna.durable.engine.timers import Timers
from aeterna.durable.engine.waiters import Waiters
from aeterna.durable.engine.work import Work
from aeterna.durable.stores.contract import Created, CreateRun, Exists, RunRow, Store
from aeterna.kernel.errors import (
    AeternaError,
    StoreError,
    WorkflowIdConflictError,
)

log = logging.getLogger("aeterna.engine")


class Engine:
    """Executes the workflows of ``program`` over ``store``."""

    def __init__(self, store: Store, program: Program, options: EngineOptions | None = None) -> None:
        self.options = options or EngineOptions()
        self.store = store
        self.program = program
        self.clock = self.options.clock
        self.durability = self.options.durability
        self.session = 0
        self.timers: Timers
        self.steps: StepExecutor
        self.journal: Journal
        self.waiters = Waiters()
        self.residents = Residents(self.options.limits)
        self.claims: Claims
        self.children: Children
        self._tasks: asyncio.TaskGroup
        self._end: asyncio.Future[None]
        self._step_tasks: set[asyncio.Task[None]] = set()
        self._callbacks_at_end: list[Callable[[], None]] = []
        self._main: asyncio.Task[None] | None = None

    # Life.

    async def start(self) -> None:
        """Open the store, take over its unfinished runs, and return once new ones can be started. Idempotent.

        Raises the store's error if it cannot be opened; nothing is running then.
        """
        if self._main is not None:
            return
        await self.store.open()
        try:
            self.session = await self.store.open_session(self.clock.now_us(), socket.gethostname(), os.getpid())
        except BaseException:
            await self.store.close()
            raise
        guard.install()
        limits = self.options.limits
        self.timers = Timers(self.clock)
        self.steps = StepExecutor(self.clock, limits.payload_bytes_max, limits.step_threads_max)
        self.journal = Journal(self.store, self.clock, self.waiters)
        self.claims = Claims(self)
        self._end = asyncio.get_running_loop().create_future()
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._main = asyncio.create_task(self._serve(ready), name="aeterna-engine")
        await ready

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call this when the engine ends, however it ends."""
        self._callbacks_at_end.append(callback)

    def check(self) -> None:
        """Raise what made the engine fail, if it has; nothing of it runs any more then."""
        if self._main is not None and self._main.done():
            raise AeternaError("the engine failed; close the app and open it again") from self._main.exception()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Return when ``stop`` is set; raises what made the engine fail if that comes first."""
        assert self._main is not None
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([stopping, self._main], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        self.check()

    async def stop(self) -> None:
        """Leave every run at its last recorded event, commit what is recorded, close the store. Idempotent.

        ``finally`` blocks of workflow code run; steps in flight are cancelled and will be executed again.
        """
        if self._main is None:
            return
        self._finish()
        await asyncio.wait([self._main])
        main, self._main = self._main, None
        if not main.cancelled():
            main.result()

    def _finish(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    async def _serve(self, ready: asyncio.Future[None]) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self.children = Children(self, self._tasks)
                services = [
                    self._tasks.create_task(self.journal.serve(), name="aeterna-journal"),
                    self._tasks.create_task(self.claims.serve(), name="aeterna-claims"),
                ]
                if self.options.retention_us is not None:
                    services.append(self._tasks.create_task(serve_retention(self.store, self.clock, self.options)))
                ready.set_result(None)
                try:
                    await self._end
                finally:
                    await self._leave(services)
        except BaseExceptionGroup as failure:
            log.critical("the engine failed", exc_info=failure, extra={"action": "engine_failed"})
            raise
        finally:
            for callback in self._callbacks_at_end:
                callback()
            self.journal.close()
            self.waiters.close()
            await self.store.close()

    async def _leave(self, services: list[asyncio.Task[None]]) -> None:
        # Done already unless this is a cancellation; from here on no run comes into memory.
        self._finish()
        services[1].cancel()
        step_tasks: list[asyncio.Task[None]] = []
        for runner in self.residents.all():
            runner.flush()
            step_tasks.extend(runner.close())
        if step_tasks:
            _, ignoring = await asyncio.wait(step_tasks, timeout=self.options.stop_grace_s)
            for task in ignoring:
                log.warning("a step ignores its cancellation and is left behind: %r", task, extra={"action": "stop"})
        self.timers.stop()
        self.steps.close()
        if not self.waiters.store_error:
            # The journal may be ending too (asyncio.run cancels every task at once), and then there is nothing to
            # wait for.
            committed = asyncio.ensure_future(self.journal.barrier())
            grace_s = self.options.stop_grace_s
            await asyncio.wait([committed, services[0]], timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            committed.cancel()
        for service in services:
            service.cancel()
        self.children.stop()
        try:
            await self.store.close_session(self.session, self.clock.now_us())
        except StoreError as error:
            # The next engine on this store declares the session dead by itself.
            log.warning("session %d could not be closed: %s", self.session, error, extra={"action": "close_session"})

    # Starting runs.

    async def start_run(self, definition: WorkflowDefinition, arguments: ev.Payload, run_id: str) -> bool:
        """Create a run; returns once it is durable. False if a run of that id exists already (its arguments count).

        Raises `WorkflowIdConflictError` if the id belongs to another workflow, or the `StoreError` that kept it from
        being recorded."""
        outcome = await self.create(definition, arguments, run_id, None)
        if isinstance(outcome, Exists) and outcome.row.workflow != definition.name:
            raise WorkflowIdConflictError(
                f"workflow id {run_id!r} belongs to a run of workflow {outcome.row.workflow!r}, "
                f"not {definition.name!r}: choose another id"
            )
        return isinstance(outcome, Created)

    def create(
        self, definition: WorkflowDefinition, arguments: ev.Payload, run_id: str, parent: str | None
    ) -> asyncio.Future[Created | Exists]:
        """Create a run with the next commit, and begin it then if there is room; otherwise it is queued."""
        now_us = self.clock.now_us()
        created = ev.RunCreated(now_us, definition.name, definition.version, arguments, parent, PYTHON)
        if self.residents.reserve():
            events: list[ev.AnyEvent] = [created, ev.RunStarted(now_us, self.session)]
            write = self._creation(definition, run_id, parent, events, State.RUNNING)
            future = self.journal.create(write)
            future.add_done_callback(lambda done: self._begin(done, definition, run_id, events))
            return future
        future = self.journal.create(self._creation(definition, run_id, parent, [created], State.PENDING))
        future.add_done_callback(self._queued)
        return future

    def _queued(self, done: asyncio.Future[Created | Exists]) -> None:
        # A failure concerns whoever asked, who may be gone by now; it is not to be reported as unheard.
        if not done.cancelled() and done.exception() is None:
            self.claims.queued()

    def _creation(
        self, definition: WorkflowDefinition, run_id: str, parent: str | None, events: list[ev.AnyEvent], state: State
    ) -> CreateRun:
        is_queued = state is State.PENDING
        detail = Detail.QUEUED if is_queued else Detail.LEASED
        owner = None if is_queued else self.session
        return CreateRun(run_id, definition.name, definition.version, state, detail, owner, tuple(events), parent)

    def _begin(
        self,
        done: asyncio.Future[Created | Exists],
        definition: WorkflowDefinition,
        run_id: str,
        events: list[ev.AnyEvent],
    ) -> None:
        self.residents.unreserve()
        self.claims.room_made()
        if done.cancelled() or done.exception() is not None or self._end.done():
            return
        outcome = done.result()
        if isinstance(outcome, Created):
            self.adopt(outcome, run_id, definition, events)

    def adopt(
        self,
        row: Created | RunRow,
        run_id: str,
        definition: WorkflowDefinition,
        history: list[ev.AnyEvent],
        *,
        taken_over_by: int | None = None,
    ) -> None:
        """Bring a run into memory, unless the engine is leaving. Call it from a plain callback; ``history`` is all
        there is of it in the store."""
        if self._end.done():
            return
        execution = Execution(run_id, definition, self.options.limits.payload_bytes_max)
        runner = Runner(run_id, execution, self)
        run_log = RunLog(row.key, row.epoch, fold(history), self.journal, self.durability, runner)
        self.residents.add(runner)
        runner.start(run_log, history, taken_over_by=taken_over_by)
        for surplus in self.residents.surplus():
            surplus.release()

    # Cancelling.

    async def cancel(self, run_id: str, reason: str = "") -> bool:
        """Ask a run to cancel; returns once the request is durable. False if it was asked before.

        Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended or belongs to another session.
        """
        return await cancel(self, run_id, reason)

    # What runners ask (see `runner.Host`).

    def spawn(self, work: Work, wait: Wait, attempt: int) -> asyncio.Task[None]:
        # Not in the task group, which would wait for ever for a step that ignores its cancellation.
        context = getattr(wait.request, "context", None)
        task = asyncio.get_running_loop().create_task(work.run_step(wait, attempt), context=context)
        self._step_tasks.add(task)
        task.add_done_callback(self._step_done)
        return task

    def _step_done(self, task: asyncio.Task[None]) -> None:
        """A step's outcome is recorded by its own task; if that failed, something is wrong with the engine."""
        self._step_tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._end.done():
            self._end.set_exception(error)

    def start_child(self, runner: Runner, request: ChildRequest) -> None:
        self.children.start(runner, request)

    def cancel_child(self, runner: Runner, child: str) -> None:
        self.children.cancel(runner, child)

    def note_waiting(self, runner: Runner, *, is_waiting: bool) -> None:
        self.residents.note_waiting(runner, is_waiting=is_waiting)
        if is_waiting:
            self.claims.room_made()

    def finished(self, runner: Runner) -> None:
        if self.residents.remove(runner):
            run = runner.run
            self.waiters.publish(runner.id, run)
            if run.parent is not None:
                self.children.ended(run.parent, runner.id)
            self.claims.room_made()

    def released(self, runner: Runner) -> None:
        if self.residents.remove(runner):
            runner.close()
            self.claims.room_made()
            if runner.has_moved_on:
                # Its row says how long to sleep, and that is not true any more.
                self.claims.take_back(runner.id)
            self.claims.look()

    def fenced(self, runner: Runner) -> None:
        log.warning(
            "run %s is owned by another session now", runner.id, extra={"action": "fenced", "run_id": runner.id}
        )
        # A run that was being given up may be back in memory by now, as another runner.
        self.residents.remove(runner)
        runner.close()
        self.claims.room_made()

    def stuck(self, runner: Runner, error: Exception) -> None:
        log.error("run %s is stuck: %s", runner.id, error, extra={"action": "stuck", "run_id": runner.id})
        if self.residents.remove(runner):
            self.waiters.fail(runner.id, error)
            self.claims.room_made()

    def is_resident(self, run_id: str) -> bool:
        """The run is in this process's memory."""
        return self.residents.get(run_id) is not None
