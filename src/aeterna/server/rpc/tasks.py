"""Runs as tasks of simple clients, which call a workflow's function and look up what its finished steps came to.

A task's token names the run and the epoch under which it may be written, so that a client may report to any server, and
one whose run was taken over is refused by the same fence as everybody."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import structs

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.coordinator.attached import Delivery
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.stores.contract import Append, Appended, Head, MessageKind, RunRow
from aeterna.durable.wire.convert import error_from, error_to
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.errors import InvalidStateError, InvariantError, UsageError

T = TypeVar("T")

ATTEMPTS = 8
"""Two reports about one run at two servers may meet; so often one of them tries again."""


class TaskToken(NamedTuple):
    """What a task's token says."""

    run_id: str
    key: int
    epoch: int


class SessionToken(NamedTuple):
    """What a session's token says."""

    number: int
    lease_us: int
    workflows: tuple[tuple[str, str], ...] | None
    queues: tuple[str, ...] | None
    capabilities: tuple[str, ...]


def seal(token: TaskToken | SessionToken) -> str:
    """The token as text that means nothing to whoever carries it."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(token)).decode().rstrip("=")


def open_task_token(text: str) -> TaskToken:
    """What the token says; raises `UsageError`."""
    try:
        return msgspec.msgpack.decode(_bytes(text), type=TaskToken)
    except msgspec.MsgspecError:
        raise UsageError("the task token is none of this server's: send it as it came with the task") from None


def open_session_token(text: str) -> SessionToken:
    """What the token says; raises `UsageError`."""
    try:
        return msgspec.msgpack.decode(_bytes(text), type=SessionToken)
    except msgspec.MsgspecError:
        raise UsageError("the session token is none of this server's: send it as Register returned it") from None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


class Tasks:
    """Those of one namespace."""

    def __init__(self, desk: NamespaceDesk) -> None:
        self._desk = desk
        self._locks: dict[str, asyncio.Lock] = {}

    async def begin(self, delivery: Delivery, session: int) -> pb.Task | None:
        """The task of a run that was handed over, with its start recorded; None if the run is not the session's any
        more, or its history cannot be read."""
        row = delivery.row
        if delivery.history is None:
            return None
        now_us = self._desk.clock.now_us()
        started = (ev.RunStarted(now_us, session),)
        head = Head(State.RUNNING, Detail.LEASED)
        outcome = await self._desk.commit(Append(row.key, row.epoch, row.length, started, now_us, head))
        if not isinstance(outcome, Appended):
            return None
        created = delivery.history[0]
        is_cancelled = any(message.kind is MessageKind.CANCEL for message in delivery.inbox)
        return pb.Task(
            task_token=seal(TaskToken(row.id, row.key, row.epoch)),
            workflow_id=row.id,
            workflow=row.workflow,
            version=row.version,
            arguments=created.arguments if isinstance(created, ev.RunCreated) else b"",
            steps=_records(delivery.history),
            cancel_requested=is_cancelled or any(isinstance(event, ev.CancelRequested) for event in delivery.history),
        )

    async def give_back(self, delivery: Delivery) -> None:
        """The run was handed over and could not be passed on."""
        row = delivery.row
        head = Head(row.state, row.detail, release=True, note=row.note)
        await self._desk.commit(Append(row.key, row.epoch, row.length, (), self._desk.clock.now_us(), head))

    async def report(self, token: TaskToken, report: pb.ReportStepRequest) -> pb.ReportStepResponse:
        """Record what became of a step. The same outcome again changes nothing; another one is refused."""
        if not report.step_name:
            raise UsageError("a report names its step")
        return await self._exclusively(token, lambda row: self._report(row, report))

    async def _report(self, row: RunRow, report: pb.ReportStepRequest) -> pb.ReportStepResponse:
        history = await self._desk.store.history(row.id)
        ended = _ends_of(history, report.step_name)
        occurrence = report.occurrence or len(ended) + 1
        if report.status != pb.STEP_STATUS_STARTED:
            event = _step_event(report, occurrence, self._desk.clock.now_us())
            known = next((each for each in ended if each.occurrence == occurrence), None)
            if known is None:
                _require_next(report.step_name, occurrence, len(ended))
                await self._append(row, event, None)
            elif _outcome(known) != _outcome(event):
                raise InvalidStateError(
                    f"step {report.step_name!r} number {occurrence} of run {row.id!r} has ended with another outcome, "
                    "which stays: take that of a new task's steps"
                )
        is_cancelled = await self._is_cancelled(row.id, history)
        return pb.ReportStepResponse(occurrence=occurrence, cancel_requested=is_cancelled)

    async def complete(self, token: TaskToken, request: pb.CompleteStepRequest) -> None:
        """End the run as the worker says. A second time changes nothing, and with another outcome is refused."""
        now_us = self._desk.clock.now_us()
        event: AnyEvent
        match request.WhichOneof("outcome"):
            case "result":
                event, state = ev.RunCompleted(now_us, _payload(request.result)), State.COMPLETED
            case "error":
                event, state = ev.RunFailed(now_us, error_from(request.error)), State.FAILED
            case "cancelled":
                event, state = ev.RunCancelled(now_us, request.cancelled), State.CANCELLED
            case _:
                raise UsageError("a task ends with a result, an error or as cancelled: one of them is to be given")
        row = await self._desk.store.get_run(token.run_id)
        if row is not None and row.state is state and row.epoch == token.epoch:
            await self._require_same_end(row, event)
            return
        await self._exclusively(token, lambda row: self._append(row, event, Head(state, Detail.NONE)))

    async def _require_same_end(self, row: RunRow, event: AnyEvent) -> None:
        history = await self._desk.store.history(row.id)
        if history and _outcome(history[-1]) != _outcome(event):
            raise InvalidStateError(f"run {row.id!r} has ended with another outcome, which stays")

    async def is_cancelled(self, token: TaskToken) -> bool:
        """Somebody asked to cancel the task's run; raises `InvalidStateError` if the task is lost."""
        await self._require(token)
        return await self._is_cancelled(token.run_id, await self._desk.store.history(token.run_id))

    async def _is_cancelled(self, run_id: str, history: Sequence[AnyEvent]) -> bool:
        if any(isinstance(event, ev.CancelRequested) for event in history):
            return True
        return any(message.kind is MessageKind.CANCEL for message in await self._desk.store.inbox(run_id))

    async def _append(self, row: RunRow, event: AnyEvent, head: Head | None) -> None:
        write = Append(row.key, row.epoch, row.length, (event,), self._desk.clock.now_us(), head)
        if not isinstance(await self._desk.commit(write), Appended):
            raise _lost(row.id)

    async def _exclusively(self, token: TaskToken, work: Callable[[RunRow], Awaitable[T]]) -> T:
        lock = self._locks.setdefault(token.run_id, asyncio.Lock())
        try:
            async with lock:
                for _ in range(ATTEMPTS - 1):
                    try:
                        return await work(await self._require(token))
                    except InvariantError:
                        # Another report about the run was recorded at another server meanwhile.
                        continue
                return await work(await self._require(token))
        finally:
            if not lock.locked() and self._locks.get(token.run_id) is lock:
                del self._locks[token.run_id]

    async def _require(self, token: TaskToken) -> RunRow:
        row = await self._desk.store.get_run(token.run_id)
        if row is None or row.key != token.key or row.epoch != token.epoch or row.state.is_final:
            raise _lost(token.run_id)
        return row


def _lost(run_id: str) -> InvalidStateError:
    return InvalidStateError(
        f"the task of run {run_id!r} is not this worker's any more: it has ended, or another worker has it. Drop it"
    )


def _ends_of(history: Sequence[AnyEvent], name: str) -> list[ev.StepCompleted | ev.StepFailed]:
    ends = (event for event in history if isinstance(event, ev.StepCompleted | ev.StepFailed))
    return [event for event in ends if event.path == "" and event.name == name]


def _require_next(name: str, occurrence: int, recorded: int) -> None:
    if occurrence != recorded + 1:
        raise UsageError(
            f"step {name!r} has {recorded} outcomes, so that the next one is number {recorded + 1}, not {occurrence}: "
            "report those of one name in their order"
        )


def _outcome(event: AnyEvent) -> AnyEvent:
    """What an event says came of a run or a step: its time, and what it took, are not part of that."""
    if isinstance(event, ev.StepCompleted | ev.StepFailed):
        event = structs.replace(event, attempt=1, duration_us=0)
    return structs.replace(event, at_us=0)


def _payload(payload: bytes) -> Payload:
    if payload[:1] not in (b"j", b"b"):
        raise UsageError("a payload starts with the tag of its encoding: 'j' (JSON) or 'b' (bytes)")
    return Payload(payload)


def _step_event(report: pb.ReportStepRequest, occurrence: int, now_us: int) -> AnyEvent:
    attempt = report.attempt or 1
    identity = ("", report.step_name, occurrence, b"")
    if report.status == pb.STEP_STATUS_COMPLETED:
        result = _payload(report.output) if report.HasField("output") else Payload(b"jnull")
        return ev.StepCompleted(now_us, *identity, result, attempt, report.duration_us)
    if report.status == pb.STEP_STATUS_FAILED:
        return ev.StepFailed(now_us, *identity, error_from(report.error), attempt, report.duration_us)
    raise UsageError("the status of a step is STARTED, COMPLETED or FAILED")


def _records(history: Sequence[AnyEvent]) -> list[pb.StepRecord]:
    records = []
    for event in history:
        if isinstance(event, ev.StepCompleted):
            records.append(
                pb.StepRecord(name=event.name, occurrence=event.occurrence, result=event.result, attempt=event.attempt)
            )
        elif isinstance(event, ev.StepFailed):
            records.append(
                pb.StepRecord(
                    name=event.name, occurrence=event.occurrence, error=error_to(event.error), attempt=event.attempt
                )
            )
    return records
