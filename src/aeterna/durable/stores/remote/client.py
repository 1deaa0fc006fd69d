"""A namespace of a server, for whoever starts runs and talks with them and executes none."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Protocol, cast

import msgspec

from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import Run
from aeterna.durable.core.why_facts import Why
from aeterna.durable.stores.contract import FullStore, Notice, Outcome, Write
from aeterna.durable.stores.patience import not_ended
from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.stores.remote.records import RemoteRecords
from aeterna.durable.stores.remote.talking import Talking
from aeterna.durable.stores.remote.unary import Unary
from aeterna.durable.wire.convert import error_from, state_from
from aeterna.durable.wire.generated import admin_pb2 as admin
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.kernel.clock import Clock, SystemClock, sleep
from aeterna.kernel.errors import StoreError, UsageError
from aeterna.kernel.ids import new_run_id
from aeterna.kernel.limits import Limits

GRACE_S = 5.0
"""A call that waits at the server is given so much longer here, so that the server's words about it arrive."""
WAIT_TRIES = 8
WAIT_PAUSE_S = 0.2
"""A wait that a server cannot go on with is tried again so often."""


class Start(Protocol):
    """See `operations.start.StartRequest`."""

    id: str
    workflow: str
    version: str
    arguments: Payload
    queue: str
    priority: int
    share: str
    delay_us: int
    singleton: str | None
    debounce: bool
    requires: tuple[str, ...]
    affinity: str


class Started(msgspec.Struct, frozen=True):
    """See `operations.start.StartReply`."""

    id: str
    is_new: bool


class RemoteWorld:
    """`operations.world.World` at a server: the verbs that are methods here are carried out there, the others here, by
    reading and writing what is kept beside the runs there."""

    session = 0
    executes = False

    def __init__(
        self,
        namespace: str,
        addresses: Sequence[str],
        credentials: Credentials | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.namespace = namespace
        self.limits = limits or Limits()
        self.clock: Clock = clock or SystemClock()
        self._unary = Unary(addresses, credentials or Credentials())
        self._talking = Talking(namespace, addresses, credentials or Credentials())
        description = f"namespace {namespace!r} of server {', '.join(addresses)}"
        # What a client has no use for (sessions, claims) is not there; the verbs that need it are methods below.
        self.store = cast("FullStore", RemoteRecords(namespace, self._unary, description))

    @property
    def remote(self) -> RemoteWorld:
        """Itself."""
        return self

    async def open(self) -> None:
        """Nothing yet: it connects when it is asked something."""

    async def close(self) -> None:
        """Idempotent."""
        await self._talking.close()
        await self._unary.close()

    # Verbs that are carried out at the server; see `operations`.

    async def start(self, request: Start) -> Started:
        """See `operations.start`."""
        item = pb.TalkFrame.Item(start=start_to(request, self.namespace))
        started = (await self._talking.ask(item)).started
        return Started(started.id, started.created)

    async def signal_with_start(self, request: Start, name: str, payload: Payload, message_id: str = "") -> Started:
        """See `operations.signal_with_start`."""
        response = await self._ask(
            "SignalWithStart",
            pb.SignalWithStartRequest(
                start=start_to(request, self.namespace),
                signal_name=name,
                payload=payload,
                signal_id=message_id or new_run_id(),
            ),
        )
        return Started(response.id, response.created)

    async def await_result(self, run_id: str, timeout_s: float | None = None) -> Run:
        """See `operations.await_result`; of the run, the state, the result and the error are known. While no server
        answers, that of the next one is waited for."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._await(run_id)
        except TimeoutError:
            raise await not_ended(self.store, run_id, timeout_s) from None

    async def _await(self, run_id: str) -> Run:
        for tries in itertools.count(1):
            try:
                found = await self._talking.ask(pb.TalkFrame.Item(wait=pb.TalkFrame.Wait(id=run_id)))
            except StoreError:
                # The server stops, perhaps, and another one takes its place.
                if tries >= WAIT_TRIES:
                    raise
                await sleep(WAIT_PAUSE_S)
            else:
                return _ended(found.ended)
        raise AssertionError

    async def signal(self, run_id: str, name: str, payload: Payload, message_id: str = "") -> bool:
        """See `operations.signal`."""
        request = pb.SignalRequest(
            namespace=self.namespace,
            id=run_id,
            name=name,
            payload=payload,
            # So that it can be said again where the answer is lost.
            signal_id=message_id or new_run_id(),
        )
        return not (await self._ask("SignalWorkflow", request)).is_duplicate

    async def cancel(self, run_id: str, reason: str = "") -> bool:
        """See `operations.cancel`."""
        request = pb.CancelRequest(namespace=self.namespace, id=run_id, reason=reason)
        return bool((await self._ask("CancelWorkflow", request)).accepted)

    async def pause(self, run_id: str, reason: str = "") -> None:
        """See `operations.pause`."""
        await self._ask("PauseWorkflow", pb.PauseRequest(namespace=self.namespace, id=run_id, reason=reason))

    async def resume(self, run_id: str) -> None:
        """See `operations.resume`."""
        await self._ask("ResumeWorkflow", pb.ResumeRequest(namespace=self.namespace, id=run_id))

    async def terminate(self, run_id: str, reason: str = "") -> None:
        """See `operations.terminate`."""
        await self._ask("TerminateWorkflow", pb.TerminateRequest(namespace=self.namespace, id=run_id, reason=reason))

    async def fork(self, run_id: str, position: int) -> str:
        """See `operations.fork`."""
        request = pb.ForkRequest(namespace=self.namespace, id=run_id, position=position)
        return str((await self._ask("ForkWorkflow", request)).id)

    async def query(self, run_id: str, name: str, arguments: Payload, timeout_s: float = 10.0) -> Payload:
        """See `operations.query`."""
        request = pb.QueryRequest(
            namespace=self.namespace, id=run_id, name=name, arguments=arguments, timeout_seconds=timeout_s
        )
        return Payload((await self._ask("QueryWorkflow", request, timeout_s + GRACE_S)).answer)

    async def why(self, run_id: str) -> Why:
        """See `operations.why`."""
        request = admin.WhyRequest(namespace=self.namespace, id=run_id)
        found = await self._unary.ask("AdminService", "WhyWorkflow", request)
        return msgspec.json.decode(found.json, type=Why)

    async def trigger_schedule(self, schedule: str, *, now_us: int | None = None) -> str:
        """See `operations.schedules.trigger_schedule`; by the server's clock."""
        request = admin.TriggerScheduleRequest(namespace=self.namespace, id=schedule)
        return str((await self._unary.ask("AdminService", "TriggerSchedule", request)).run_id)

    async def backfill_schedule(self, schedule: str, start_us: int, end_us: int, overlap: str = "") -> str:
        """See `operations.schedules.backfill_schedule`."""
        request = admin.BackfillScheduleRequest(
            namespace=self.namespace, id=schedule, start_us=start_us, end_us=end_us, overlap=overlap
        )
        return str((await self._unary.ask("AdminService", "BackfillSchedule", request)).id)

    # The rest of a world.

    async def commit(self, write: Write) -> Outcome:
        """Always raises `UsageError`: runs are written by whole verbs."""
        raise UsageError(f"a client of a server does not write {type(write).__name__}; use the operation that does")

    def announce(self, *notices: Notice) -> None:
        """Nothing: the server announces what it does."""

    async def wait_end(self, run_id: str, timeout_s: float | None) -> Run | None:
        """As `await_result`."""
        return await self.await_result(run_id, timeout_s)

    async def _ask(self, method: str, request: Any, timeout_s: float | None = None) -> Any:
        return await self._unary.ask("ClientService", method, request, timeout_s)


def start_to(request: Start, namespace: str) -> pb.StartWorkflowRequest:
    """The request as a message."""
    return pb.StartWorkflowRequest(
        namespace=namespace,
        workflow=request.workflow,
        version=request.version,
        arguments=request.arguments,
        id=request.id or new_run_id(),
        queue=request.queue,
        priority=request.priority,
        share=request.share,
        delay_us=request.delay_us,
        singleton=request.singleton,
        debounce=request.debounce,
        requires=request.requires,
        affinity=request.affinity,
    )


def _ended(found: pb.WorkflowResult) -> Run:
    run = Run()
    run.state = state_from(found.state)
    run.workflow, run.version = found.workflow, found.version
    run.result = Payload(found.result) if found.HasField("result") else None
    run.error = error_from(found.error) if found.HasField("error") else None
    run.cancel_reason = found.cancel_reason if found.HasField("cancel_reason") else None
    return run
