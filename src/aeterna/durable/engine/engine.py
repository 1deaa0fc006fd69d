"""The engine: keeps the runs of one session alive, in this process.

It owns the journal, the timers and the resident runs, and follows one life: `start`, then `stop`, once. Whatever
happens in between, a later engine on the same store goes on where this one was, or one beside it if the store is
shared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import fold
from aeterna.durable.engine import guard
from aeterna.durable.engine.asking import origin_of, query
from aeterna.durable.engine.background import Background
from aeterna.durable.engine.cancellation import cancel
from aeterna.durable.engine.children import Children
from aeterna.durable.engine.claims import Claims
from aeterna.durable.engine.execution import Execution, Wait
from aeterna.durable.engine.journal import Journal
from aeterna.durable.engine.lease import Lease
from aeterna.durable.engine.lookout import Lookout
from aeterna.durable.engine.mail import Mail
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_schedules import OwnSchedules
from aeterna.durable.engine.program import ChildRequest, Program, WorkflowDefinition
from aeterna.durable.engine.residents import Residents
from aeterna.durable.engine.retention import serve_retention
from aeterna.durable.engine.run_log import RunLog
from aeterna.durable.engine.runner import Runner
from aeterna.durable.engine.starts import Starts
from aeterna.durable.engine.steps import StepExecutor
from aeterna.durable.engine.tenure import Tenure
from aeterna.durable.engine.timers import Timers
from aeterna.durable.engine.waiters import Waiters
from aeterna.durable.engine.work import Work
from aeterna.durable.engine.yielding import Yielding
from aeterna.durable.stores.contract import Created, Message, RunRow, Store
from aeterna.kernel.errors import AeternaError

log = logging.getLogger("aeterna.engine")


class Engine:
    """Executes the workflows of ``program`` over ``store``."""

    def __init__(self, store: Store, program: Program, options: EngineOptions | None = None) -> None:
        self.options = options or EngineOptions()
        self.store = store
        self.program = program
        self.clock = self.options.clock
        self.durability = self.options.durability
        self.tenure = Tenure(self)
        self.lease: Lease | None = self.tenure.lease
        self.lookout = Lookout(self)
        self.mail = Mail(self)
        self.background: Background
        self.timers: Timers
        self.steps: StepExecutor
        self.journal: Journal
        self.waiters = Waiters()
        self.residents = Residents(self.options.limits)
        self.claims: Claims
        self.starts = Starts(self)
        self.children = Children(self)
        self.schedules = OwnSchedules(self)
        self.yielding = Yielding(self)
        self.stuck_here: set[str] = set()
        self._tasks: asyncio.TaskGroup
        self._end: asyncio.Future[None]
        self._step_tasks: set[asyncio.Task[None]] = set()
        self._callbacks_at_end: list[Callable[[], None]] = []
        self._main: asyncio.Task[None] | None = None

    @property
    def session(self) -> int:
        """The number of its session, 0 before `start`."""
        return self.tenure.session

    # Life.

    async def start(self) -> None:
        """Open the store, take over its unfinished runs, and return once new ones can be started. Idempotent.

        Raises the store's error if it cannot be opened; nothing is running then.
        """
        if self._main is not None:
            return
        self.store.watch(self.lookout.hear)
        await self.store.open()
        self.claims = Claims(self)
        try:
            await self.tenure.open()
        except BaseException:
            await self.store.close()
            raise
        guard.install()
        limits = self.options.limits
        self.timers = Timers(self.clock)
        self.steps = StepExecutor(self.clock, limits.payload_bytes_max, limits.step_threads_max)
        self.journal = Journal(self.store, self.clock, self.waiters)
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
                self.background = Background(self._tasks)
                services = [
                    self._tasks.create_task(self.journal.serve(), name="aeterna-journal"),
                    self._tasks.create_task(self.claims.serve(), name="aeterna-claims"),
                    self._tasks.create_task(self.lookout.serve(), name="aeterna-lookout"),
                    self._tasks.create_task(self.schedules.serve(), name="aeterna-schedules"),
                    self._tasks.create_task(self.tenure.serve(), name="aeterna-tenure"),
                    self._tasks.create_task(serve_retention(self.store, self.clock, self.options)),
                ]
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
        for service in services[1:4]:
            service.cancel()
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
        self.background.stop()
        await self.tenure.close()

    # Starting runs.

    async def start_run(self, definition: WorkflowDefinition, arguments: ev.Payload, run_id: str) -> bool:
        """Create a run; returns once it is durable. False if a run of that id exists already (its arguments count).

        Raises `WorkflowIdConflictError` if the id belongs to another workflow, or the `StoreError` that kept it from
        being recorded."""
        return isinstance(await self.starts.find_or_create(definition, arguments, run_id), Created)

    def adopt(
        self,
        row: Created | RunRow,
        run_id: str,
        definition: WorkflowDefinition,
        history: list[ev.AnyEvent],
        messages: Sequence[Message] = (),
        *,
        taken_over_by: int | None = None,
    ) -> None:
        """Bring a run into memory, unless the engine is leaving. Call it from a plain callback; ``history`` and
        ``messages`` are all there is of it in the store."""
        if self._end.done():
            return
        self.stuck_here.discard(run_id)
        execution = Execution(run_id, definition, self.options.limits.payload_bytes_max, origin=origin_of(history))
        runner = Runner(run_id, execution, self)
        run_log = RunLog(row.key, row.epoch, fold(history), self.journal, self.durability, runner)
        self.residents.add(runner)
        runner.start(run_log, history, messages, taken_over_by=taken_over_by)
        for surplus in self.residents.surplus():
            surplus.release()

    # Cancelling.

    async def cancel(self, run_id: str, reason: str = "") -> bool:
        """Ask a run to cancel; returns once the request is durable. False if it was asked before.

        Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended or belongs to another session.
        """
        return await cancel(self, run_id, reason)

    # Talking with runs and about them.

    async def query(self, run_id: str, name: str, arguments: ev.Payload) -> ev.Payload:
        """What the run answers to a query, whoever owns it; ``arguments`` is ``[args, kwargs]``, encoded.

        Raises `RunNotFoundError`, `UnknownWorkflowError` if its code is not here, `UsageError` for an unknown query,
        and `QueryFailedError`.
        """
        return await query(self, run_id, name, arguments)

    @property
    def is_serving(self) -> bool:
        """It has started and is not leaving."""
        return self._main is not None and not self._end.done()

    @property
    def is_expecting(self) -> bool:
        """A run may be on its way into memory."""
        return self.residents.is_expecting or self.claims.exclusive.locked()

    def go_on(self) -> None:
        """The lease holds again: start what waited for that. Call it from a plain callback."""
        for runner in self.residents.all():
            runner.go_on()

    def drop(self, run_id: str) -> None:
        """The run was ended by somebody else, whether it is in memory or not. Call it from a plain callback."""
        runner = self.residents.get(run_id)
        if runner is not None:
            self.residents.remove(runner)
            runner.close()
            self.claims.room_made()

    def drop_all(self) -> None:
        """The session is over, and with it the right to what is in memory. Call it from a plain callback."""
        for runner in self.residents.all():
            self.residents.remove(runner)
            runner.close()
        self.claims.room_made()

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
        self.residents.note_waiting(runner, is_waiting=is_waiting, now_us=self.clock.monotonic_us())
        if is_waiting:
            self.claims.room_made()

    def finished(self, runner: Runner) -> None:
        if self.residents.remove(runner):
            run = runner.run
            self.waiters.publish(runner.id, run)
            if run.parent is not None:
                self.children.ended(run.parent, runner.id)
            self.lookout.ended_here(runner.id)
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
        self.lookout.look_for(runner.id)

    def stuck(self, runner: Runner, error: Exception) -> None:
        log.error("run %s is stuck: %s", runner.id, error, extra={"action": "stuck", "run_id": runner.id})
        if self.residents.remove(runner):
            self.stuck_here.add(runner.id)
            self.waiters.fail(runner.id, error)
            self.claims.room_made()

    def is_resident(self, run_id: str) -> bool:
        """The run is in this process's memory."""
        return self.residents.get(run_id) is not None
