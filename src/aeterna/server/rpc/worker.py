"""WorkerService: the stream of workers that replay, and the unary calls of simple clients."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec

from aeterna.durable.engine.coordinator.attached import Attached
from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.engine.coordinator.sessions import Introduction
from aeterna.durable.stores.contract import Choice
from aeterna.durable.wire.convert import choice_from
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.errors import AeternaError, InvalidStateError, UsageError
from aeterna.server.rpc.failing import abort
from aeterna.server.rpc.serving import Admit, Context, Service, admit_anybody
from aeterna.server.rpc.session import LEASE_US_MIN, TEXT_CHARS_MAX, SessionStream, introduction, read_frame
from aeterna.server.rpc.simple_outlet import SimpleOutlet
from aeterna.server.rpc.tasks import SessionToken, Tasks, open_session_token, open_task_token, seal

log = logging.getLogger("aeterna.rpc")

TASKS_MAX = 1_000


class WorkerService(Service):
    """See ``proto/aeterna/v1/worker.proto``."""

    def __init__(self, coordinator: Coordinator, admit: Admit = admit_anybody) -> None:
        super().__init__(coordinator, admit)
        self._tasks: dict[str, Tasks] = {}

    # The stream.

    async def Session(self, _: object, context: Context) -> None:  # noqa: N802 - named as in the proto
        """See `SessionStream`."""
        try:
            frame = await read_frame(context)
            if frame is None:
                return
            if not frame.HasField("hello"):
                raise UsageError("the first frame of a session is its hello")
            identity = await self.let_in(context, frame.hello.namespace, "work")
            who = introduction(frame.hello, self.coordinator.options)
            desk = await self.made_desk(frame.hello.namespace)
            await SessionStream(desk, context, identity.role).serve(frame.hello, who)
        except AeternaError as error:
            await abort(context, error)

    # Simple clients.

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:  # noqa: N802
        """Open a session."""
        try:
            await self.let_in(context, request.namespace, "work")
            who = self._introduction(request)
            return await self._register(who, await self.made_desk(request.namespace))
        except AeternaError as error:
            await abort(context, error)

    def _introduction(self, request: pb.RegisterRequest) -> Introduction:
        if len(request.worker_id) > TEXT_CHARS_MAX:
            raise UsageError(f"worker_id has {len(request.worker_id)} characters, the limit is {TEXT_CHARS_MAX}")
        options = self.coordinator.options
        lease_us = min(max(request.lease_us or options.lease_us, LEASE_US_MIN), options.lease_us_max)
        choice = choice_from(request.choice)
        about = {
            "workflows": choice.workflows,
            "queues": choice.queues,
            "capabilities": choice.capabilities,
            "service": request.service_name,
            "language": list(request.language),
        }
        about_text = msgspec.json.encode(about).decode()
        return Introduction("", 0, request.worker_id, about_text, lease_us, choice)

    async def _register(self, who: Introduction, desk: NamespaceDesk) -> pb.RegisterResponse:
        attached = await desk.sessions.open(who, SimpleOutlet())
        choice, lease_us = who.choice, who.lease_us
        token = SessionToken(attached.number, lease_us, choice.workflows, choice.queues, choice.capabilities)
        return pb.RegisterResponse(
            session_token=seal(token),
            lease_us=lease_us,
            server_id=f"session {desk.session} of {desk.store.description}",
        )

    async def PollTasks(self, request: pb.PollRequest, context: Context) -> AsyncIterator[pb.Task]:  # noqa: N802
        """Runs to execute."""
        try:
            desk = await self._desk(context, request.namespace)
            attached, outlet = await self._simple(desk, request.session_token)
            if outlet.is_polled:
                raise InvalidStateError("the session polls already: one PollTasks at a time")
            room = min(max(request.max_tasks, 1), TASKS_MAX)
            async for task in self._poll(desk, attached, outlet, room):
                yield task
        except AeternaError as error:
            await abort(context, error)

    async def _poll(
        self, desk: NamespaceDesk, attached: Attached, outlet: SimpleOutlet, room: int
    ) -> AsyncIterator[pb.Task]:
        tasks = self._tasks_of(desk)
        outlet.is_polled = True
        attached.room_max = room
        attached.make_room()
        desk.dispatch.room_made()
        try:
            while (delivery := await outlet.next()) is not None:
                task = await tasks.begin(delivery, attached.number)
                if task is not None:
                    yield task
            if outlet.is_lost:
                raise _over()
        finally:
            outlet.is_polled = False
            attached.room_max = attached.room = 0
            while outlet.waiting and not outlet.is_lost:
                await tasks.give_back(outlet.waiting.popleft())

    async def ReportStep(self, request: pb.ReportStepRequest, context: Context) -> pb.ReportStepResponse:  # noqa: N802
        """Record what became of one step."""
        try:
            desk = await self._desk(context, request.namespace)
            return await self._tasks_of(desk).report(open_task_token(request.task_token), request)
        except AeternaError as error:
            await abort(context, error)

    async def CompleteStep(  # noqa: N802
        self, request: pb.CompleteStepRequest, context: Context
    ) -> pb.CompleteStepResponse:
        """End a task."""
        try:
            desk = await self._desk(context, request.namespace)
            await self._tasks_of(desk).complete(open_task_token(request.task_token), request)
        except AeternaError as error:
            await abort(context, error)
        return pb.CompleteStepResponse()

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Context) -> pb.HeartbeatResponse:  # noqa: N802
        """The worker lives, or leaves."""
        try:
            desk = await self._desk(context, request.namespace)
            attached, _ = await self._simple(desk, request.session_token)
            if request.is_goodbye:
                await desk.detach(attached, died=False)
                return pb.HeartbeatResponse(ok=True)
            if not await desk.sessions.renew(attached):
                raise _over()
            return await self._look_at(desk, attached, request)
        except AeternaError as error:
            await abort(context, error)

    async def _look_at(
        self, desk: NamespaceDesk, attached: Attached, request: pb.HeartbeatRequest
    ) -> pb.HeartbeatResponse:
        response = pb.HeartbeatResponse(ok=True)
        for text in request.task_tokens[:TASKS_MAX]:
            token = open_task_token(text)
            try:
                is_cancelled = await self._tasks_of(desk).is_cancelled(token)
            except InvalidStateError:
                response.lost.append(text)
                continue
            if is_cancelled:
                response.cancel_requested.append(text)
            if token.key not in attached.held:
                desk.sessions.hold(attached, token.key, token.run_id, None)
        return response

    async def _simple(self, desk: NamespaceDesk, text: str) -> tuple[Attached, SimpleOutlet]:
        """The session that a token names; one that another server opened comes here."""
        token = open_session_token(text)
        attached = desk.sessions.find(token.number)
        if attached is None:
            choice = Choice(token.workflows, token.queues, token.capabilities)
            who = Introduction("", 0, "", "{}", token.lease_us, choice)
            attached = await desk.sessions.resume(token.number, None, who, SimpleOutlet())
        if attached is None or not isinstance(attached.outlet, SimpleOutlet):
            raise _over()
        return attached, attached.outlet

    def _tasks_of(self, desk: NamespaceDesk) -> Tasks:
        return self._tasks.setdefault(desk.name, Tasks(desk))

    async def _desk(self, context: Context, namespace: str) -> NamespaceDesk:
        return await self.desk(context, namespace, "do_task")


def _over() -> InvalidStateError:
    return InvalidStateError("the session is over: Register again, and drop the tasks of the old one")
