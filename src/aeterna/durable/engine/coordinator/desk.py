"""One namespace of a server: its store, its workers, and whoever asks something of its runs.

It is the `World` that the operations work in, and what the sessions of workers write through."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import Run
from aeterna.durable.engine.coordinator.attached import Attached, Held
from aeterna.durable.engine.coordinator.committer import Committer, Measured, Observer
from aeterna.durable.engine.coordinator.dispatch import Dispatch
from aeterna.durable.engine.coordinator.end_waiters import EndWaiters
from aeterna.durable.engine.coordinator.lookout import DeskLookout
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.engine.coordinator.reclaimer import Reclaimer
from aeterna.durable.engine.coordinator.schedules import ScheduleService
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.engine.retention import serve_retention
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
    CreateRun,
    Exists,
    FullStore,
    Notice,
    NoticeKind,
    Outcome,
    Outlook,
    Post,
    Posted,
    RunRow,
    Write,
)
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import RunNotFoundError, StoreError, UnknownWorkflowError
from aeterna.kernel.limits import Limits

log = logging.getLogger("aeterna.desk")

RENEWALS_PER_LEASE = 3
SOME_RUNS = Notice(NoticeKind.RUNS)


class NamespaceDesk:
    """See the module. ``session``: the server's own, for claims by force. ``leaving``: set when the process is about to
    end."""

    remote = None
    executes = False

    def __init__(self, name: str, store: FullStore, clock: Clock, options: CoordinatorOptions) -> None:
        self.name = name
        self.store = store
        self.clock = clock
        self.limits: Limits = options.limits
        self.session = 0
        self.leaving = asyncio.Event()
        self.sessions = Sessions(store, clock)
        self.committer: Committer
        self.dispatch = Dispatch(store, self.sessions, clock)
        self.options = options
        self.reclaimer = Reclaimer(store, self.sessions, clock, self.commit)
        self.waiters = EndWaiters(store)
        self._lookout = DeskLookout(self)
        self._schedules = ScheduleService(self)
        self._listeners: list[Outlook] = []
        self._write_listeners: list[Observer] = []
        self._commit_listeners: list[Measured] = []
        self._creators: dict[str, Attached] = {}
        self._renewed_us = 0

    # Life.

    async def open(self) -> None:
        """Open the store; raises its error."""
        self.store.watch(self._hear)
        await self.store.open()
        self.committer = Committer(self.store, self._committed, self.clock, self._measured)
        await self._open_session()
        await self.dispatch.look_for_queues()

    def services(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What is to be served for as long as the desk is open."""
        return [
            self.committer.serve,
            self.dispatch.serve,
            self._schedules.serve,
            self._lookout.serve,
            self._forget,
        ]

    def leave(self) -> None:
        """The process is about to end: workers and waiters go elsewhere, and their sessions live on. Idempotent."""
        self.leaving.set()
        self.sessions.leave()
        self.waiters.close()

    async def close(self) -> None:
        """Commit what was submitted and end the server's own session; those of workers live on."""
        self.leave()
        self.dispatch.close()
        await self.committer.drain()
        self.committer.close()
        try:
            await self.store.close_session(self.session, self.clock.now_us())
        except StoreError as error:
            log.warning("session %d could not be closed: %s", self.session, error, extra={"action": "close_session"})

    async def _open_session(self) -> None:
        lease_us = self.options.lease_us
        self._renewed_us = self.clock.monotonic_us()
        self.session = await self.store.open_session(
            self.clock.now_us(),
            socket.gethostname(),
            os.getpid(),
            lease_us=lease_us,
            name="server",
            about='{"role":"server"}',
        )

    async def _forget(self) -> None:
        await serve_retention(self.store, self.clock, self.options)

    async def renew(self) -> None:
        """Prolong the lease of the server's own session, or open a new one; raises the store's error."""
        lease_us, now_us = self.options.lease_us, self.clock.monotonic_us()
        if now_us - self._renewed_us <= lease_us / RENEWALS_PER_LEASE:
            return
        alive = await self.store.renew_sessions([self.session], self.clock.now_us() + lease_us)
        self._renewed_us = now_us
        if not alive:
            await self._open_session()

    # What operations ask (see `operations.world.World`).

    async def commit(self, write: Write) -> Outcome:
        """Carry out the write in one transaction with everybody's; raises the `StoreError` if that fails. A new run
        that has to wait for nothing goes to a worker that has room at once."""
        if isinstance(write, CreateRun):
            return await self._create(write)
        return await self.committer.commit(write, 0)

    async def _create(self, write: CreateRun) -> Outcome:
        assigned = self.dispatch.assigning.assign(write)
        if assigned is None:
            return await self.committer.commit(write, 0)
        owned, attached = assigned
        outcome: Outcome | None = None
        try:
            outcome = await self.committer.commit(owned, 0)
        finally:
            if isinstance(outcome, Created):
                self.dispatch.assigning.assigned(owned, outcome, attached)
            else:
                self.dispatch.assigning.unassigned(attached)
        return outcome

    def announce(self, *notices: Notice) -> None:
        """Tell workers and waiters, here and at other servers. That some run can be claimed is known already, from the
        commit that made it so."""
        news = [notice for notice in notices if notice != SOME_RUNS]
        for notice in news:
            if notice.kind is NoticeKind.ENDED:
                # By force: whoever had it in memory does not know.
                for attached in self.sessions:
                    attached.outlet.tell(notice)
            self._hear(notice)
        if news and self.store.is_shared:
            self.store.notify(news)

    async def wait_end(self, run_id: str, timeout_s: float | None) -> Run | None:
        """Return once the run has ended; raises `TimeoutError`."""
        await self.waiters.wait(run_id, timeout_s)
        return None

    async def query(self, run_id: str, name: str, arguments: Payload, timeout_s: float) -> Payload:
        """Ask the worker that has the run, or another one that has its code.

        Raises `RunNotFoundError`, `UnknownWorkflowError` if no such worker is here, `TimeoutError`, and what the code
        answers with."""
        row = await self.store.get_run(run_id)
        if row is None:
            raise RunNotFoundError(f"no run has the id {run_id!r} in {self.store.description}")
        for attached in self._who_knows(row):
            ask = attached.outlet.asks()
            if ask is not None:
                async with asyncio.timeout(timeout_s):
                    return await ask(run_id, name, arguments)
        raise UnknownWorkflowError(
            f"no worker that has version {row.version!r} of workflow {row.workflow!r} is connected to this server, and "
            "only its code can answer a query"
        )

    def _who_knows(self, row: RunRow) -> list[Attached]:
        holder = self.sessions.holder(row.id)
        others = [one for one in self.sessions if one is not holder and one.can_execute(row.workflow, row.version)]
        return others if holder is None else [holder, *others]

    def listen(self, outlook: Outlook) -> Callable[[], None]:
        """Call ``outlook`` with every notice from now on, until what this returns is called."""
        self._listeners.append(outlook)
        return lambda: self._listeners.remove(outlook)

    def listen_writes(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer`` with all writes that go through this server, and their outcomes, before anything else hears
        of them, until what this returns is called."""
        self._write_listeners.append(observer)
        return lambda: self._write_listeners.remove(observer)

    def listen_commits(self, observer: Measured) -> None:
        """Call ``observer`` after each commit, for as long as the desk is open."""
        self._commit_listeners.append(observer)

    # What the sessions of workers ask.

    def creator(self, run_id: str, attached: Attached) -> None:
        """The worker asked for this run, which somebody else may execute, and wants to hear of its end."""
        self._creators[run_id] = attached

    async def detach(self, attached: Attached, *, died: bool) -> None:
        """The worker has gone; what it held goes to others at once."""
        await self.sessions.detach(attached, died=died)
        for run_id in [run_id for run_id, creator in self._creators.items() if creator is attached]:
            del self._creators[run_id]
        if died:
            self.reclaimer.suspect()
        self.claimable()

    # What happened.

    def claimable(self) -> None:
        """Some runs can be claimed from now on."""
        self.dispatch.look()
        if self.store.is_shared:
            self.store.notify([SOME_RUNS])

    def _measured(self, writes: int, took_us: int) -> None:
        for observer in self._commit_listeners:
            observer(writes, took_us)

    def _committed(self, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
        """In the order of the commits, from a plain callback or the committer's task."""
        for observer in self._write_listeners:
            observer(writes, outcomes)
        for write, outcome in zip(writes, outcomes, strict=True):
            if isinstance(write, Append):
                if write.head is not None and isinstance(outcome, Appended):
                    self._moved(write)
            elif isinstance(write, CreateRun):
                if isinstance(outcome, Created):
                    self._created(write, outcome)
                elif write.debounce and isinstance(outcome, Exists):
                    # The run that is there may start sooner than it was to.
                    self.dispatch.wakes_at(write.wake_us)
            elif isinstance(write, Post):
                if isinstance(outcome, Posted) and outcome.owner is None:
                    self.claimable()
            elif write.run is not None:
                self.dispatch.queued()
                self.dispatch.wakes_at(write.run.wake_us)

    def _moved(self, write: Append) -> None:
        head = write.head
        assert head is not None
        if head.state.is_final:
            run = self._let_go(write.key)
            if run is not None:
                self._ended(run)
        elif head.release:
            run = self._let_go(write.key)
            if run is None:
                self.dispatch.wakes_at(head.wake_us)
            elif self.dispatch.released(run, write.key, head.wake_us):
                return
            if self.store.is_shared:
                self.store.notify([SOME_RUNS])

    def _let_go(self, key: int) -> Held | None:
        run = self.sessions.let_go(key)
        if run is not None:
            holder = self.sessions.find(run.session)
            if holder is not None and holder.room_max is not None:
                holder.make_room()
                self.dispatch.room_made()
        return run

    def _created(self, write: CreateRun, created: Created) -> None:
        if write.owner is None:
            if write.queue:
                self.dispatch.queued()
            self.dispatch.wakes_at(write.wake_us)
            if self.store.is_shared:
                self.store.notify([Notice(NoticeKind.RUNS, write.queue)])
            return
        attached = self.sessions.find(write.owner)
        if attached is not None and not write.state.is_final:
            self.sessions.hold(attached, created.key, write.id, write.parent)

    def _ended(self, run: Held) -> None:
        notice = Notice(NoticeKind.ENDED, run.id)
        self._hear(notice)
        if run.parent is not None:
            parent = self.sessions.holder(run.parent)
            if parent is not None:
                parent.outlet.tell(notice)
        if self.store.is_shared:
            self.store.notify([notice])

    def _hear(self, notice: Notice) -> None:
        match notice.kind:
            case NoticeKind.RUNS:
                if notice.subject:
                    self.dispatch.queued()
                self.dispatch.look()
            case NoticeKind.INBOX:
                self._posted(notice)
            case NoticeKind.ENDED:
                holder = self.sessions.holder(notice.subject)
                if holder is not None:
                    # It was ended by force at another server; what ended here nobody holds any more.
                    holder.outlet.tell(notice)
                self.waiters.publish(notice.subject)
                self.dispatch.ended()
                creator = self._creators.pop(notice.subject, None)
                if creator is not None:
                    creator.outlet.tell(notice)
                self._schedules.on_notice(notice)
            case NoticeKind.SCHEDULES:
                self._schedules.on_notice(notice)
            case NoticeKind.LOST:
                self.session = 0
        for listener in self._listeners:
            listener(notice)

    def _posted(self, notice: Notice) -> None:
        holder = self.sessions.holder(notice.subject)
        if holder is not None:
            holder.outlet.tell(notice)
        else:
            self.dispatch.look()
