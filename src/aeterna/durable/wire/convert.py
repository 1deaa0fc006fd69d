"""Records to messages and back, for rows, histories and everything else that is read.

What comes in may be anything: a message that no record fits raises `SerializationError` with the field's name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aeterna.durable.core.events import AnyEvent, ErrorRecord, Payload
from aeterna.durable.core.segment import decode_segment, encode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Choice,
    Message,
    MessageKind,
    Notice,
    NoticeKind,
    QueueRow,
    QueueState,
    RunRow,
    ScheduleRow,
    Sealed,
    SessionRow,
)
from aeterna.durable.wire.generated import records_pb2 as pb
from aeterna.kernel.errors import SerializationError, StoreCorruptError, StoreTooNewError

STATES = {
    State.PENDING: pb.STATE_PENDING,
    State.RUNNING: pb.STATE_RUNNING,
    State.COMPLETED: pb.STATE_COMPLETED,
    State.FAILED: pb.STATE_FAILED,
    State.CANCELLED: pb.STATE_CANCELLED,
}
_STATES_BACK: dict[int, State] = {number: state for state, number in STATES.items()}
_DETAILS = {str(detail): detail for detail in Detail}
_KINDS = {
    MessageKind.SIGNAL: pb.MESSAGE_KIND_SIGNAL,
    MessageKind.CANCEL: pb.MESSAGE_KIND_CANCEL,
    MessageKind.PAUSE: pb.MESSAGE_KIND_PAUSE,
    MessageKind.RESUME: pb.MESSAGE_KIND_RESUME,
}
_KINDS_BACK: dict[int, MessageKind] = {number: kind for kind, number in _KINDS.items()}
_NOTICES = {
    NoticeKind.RUNS: pb.NOTICE_KIND_RUNS,
    NoticeKind.INBOX: pb.NOTICE_KIND_INBOX,
    NoticeKind.ENDED: pb.NOTICE_KIND_ENDED,
    NoticeKind.LOST: pb.NOTICE_KIND_LOST,
    NoticeKind.SCHEDULES: pb.NOTICE_KIND_SCHEDULES,
    NoticeKind.YIELD: pb.NOTICE_KIND_YIELD,
}
_NOTICES_BACK: dict[int, NoticeKind] = {number: notice_kind for notice_kind, number in _NOTICES.items()}


def state_from(number: int) -> State:
    """The state of that number; raises `SerializationError`."""
    state = _STATES_BACK.get(number)
    if state is None:
        raise SerializationError(f"state {number} is none: use one of {', '.join(pb.State.keys()[1:])}")
    return state


def detail_from(text: str) -> Detail:
    """The detail of that name; raises `SerializationError`."""
    detail = _DETAILS.get(text)
    if detail is None:
        raise SerializationError(f"detail {text!r} is none: use one of {', '.join(filter(None, _DETAILS))}")
    return detail


def kind_to(kind: MessageKind) -> pb.MessageKind:
    """The number of that kind of message."""
    return _KINDS[kind]


def kind_from(number: int) -> MessageKind:
    """The kind of that number; raises `SerializationError`."""
    kind = _KINDS_BACK.get(number)
    if kind is None:
        raise SerializationError(f"message kind {number} is none: use one of {', '.join(pb.MessageKind.keys()[1:])}")
    return kind


def row_to(row: RunRow) -> pb.WorkflowInfo:
    """A run's row."""
    return pb.WorkflowInfo(
        key=row.key,
        id=row.id,
        workflow=row.workflow,
        version=row.version,
        state=STATES[row.state],
        detail=row.detail,
        created_us=row.created_us,
        updated_us=row.updated_us,
        length=row.length,
        epoch=row.epoch,
        owner=row.owner,
        wake_us=row.wake_us,
        finished_us=row.finished_us,
        parent=row.parent,
        note=row.note,
        queue=row.queue,
        priority=row.priority,
        share=row.share,
        requires=row.requires,
        crashes=row.crashes,
    )


def row_from(info: pb.WorkflowInfo) -> RunRow:
    """A run's row; raises `SerializationError`."""
    return RunRow(
        key=info.key,
        id=info.id,
        workflow=info.workflow,
        version=info.version,
        state=state_from(info.state),
        detail=detail_from(info.detail),
        created_us=info.created_us,
        updated_us=info.updated_us,
        length=info.length,
        epoch=info.epoch,
        owner=info.owner if info.HasField("owner") else None,
        wake_us=info.wake_us if info.HasField("wake_us") else None,
        finished_us=info.finished_us if info.HasField("finished_us") else None,
        parent=info.parent if info.HasField("parent") else None,
        note=info.note,
        queue=info.queue,
        priority=info.priority,
        share=info.share,
        requires=tuple(info.requires),
        crashes=info.crashes,
    )


def segment_to(events: Sequence[AnyEvent] | Sealed) -> pb.Segment:
    """Events, encoded unless they are already."""
    if isinstance(events, Sealed):
        return pb.Segment(count=events.count, body=events.body)
    return pb.Segment(count=len(events), body=encode_segment(events) if events else b"")


def events_from(segment: pb.Segment) -> list[AnyEvent]:
    """The events of a segment; raises `SerializationError` if it is none or does not hold as many as it says."""
    body = segment.body
    if not body:
        events: list[AnyEvent] = []
    else:
        try:
            events = decode_segment(body)
        except (StoreCorruptError, StoreTooNewError) as error:
            raise SerializationError(str(error)) from error
    if len(events) != segment.count:
        raise SerializationError(f"a segment says that it has {segment.count} events and has {len(events)}")
    return events


def error_to(error: ErrorRecord) -> pb.ErrorInfo:
    """A recorded exception."""
    return pb.ErrorInfo(type=error.type, message=error.message, traceback=error.traceback, arguments=error.arguments)


def error_from(error: pb.ErrorInfo) -> ErrorRecord:
    """A recorded exception."""
    arguments = Payload(error.arguments) if error.HasField("arguments") else None
    return ErrorRecord(error.type, error.message, error.traceback, arguments)


def message_to(message: Message) -> pb.InboxMessage:
    """A message of an inbox."""
    return pb.InboxMessage(
        number=message.number,
        id=message.id,
        kind=_KINDS[message.kind],
        name=message.name,
        payload=message.payload,
        at_us=message.at_us,
    )


def message_from(message: pb.InboxMessage) -> Message:
    """A message of an inbox; raises `SerializationError`."""
    return Message(
        message.number, message.id, kind_from(message.kind), message.name, Payload(message.payload), message.at_us
    )


def notice_to(notice: Notice) -> pb.Notice:
    """A notice."""
    return pb.Notice(kind=_NOTICES[notice.kind], subject=notice.subject)


def notice_from(notice: pb.Notice) -> Notice | None:
    """A notice; None for a kind that this release does not know, and can do without."""
    kind = _NOTICES_BACK.get(notice.kind)
    return None if kind is None else Notice(kind, notice.subject)


def choice_to(choice: Choice) -> pb.Choice:
    """What a worker can execute."""
    workflows = [pb.Choice.Workflow(name=name, version=version) for name, version in choice.workflows or ()]
    return pb.Choice(
        workflows=workflows,
        all_workflows=choice.workflows is None,
        queues=None if choice.queues is None else pb.Choice.Queues(names=choice.queues),
        capabilities=choice.capabilities,
    )


def choice_from(choice: pb.Choice) -> Choice:
    """What a worker can execute."""
    workflows = None if choice.all_workflows else tuple((each.name, each.version) for each in choice.workflows)
    queues = tuple(choice.queues.names) if choice.HasField("queues") else None
    return Choice(workflows, queues, tuple(choice.capabilities))


def session_to(session: SessionRow) -> pb.WorkerInfo:
    """A session."""
    return pb.WorkerInfo(
        session=session.number,
        host=session.host,
        pid=session.pid,
        opened_us=session.opened_us,
        closed_us=session.closed_us,
        expires_us=session.expires_us,
        name=session.name,
        about=session.about,
        runs=session.runs,
    )


def session_from(info: pb.WorkerInfo) -> SessionRow:
    """A session."""
    return SessionRow(
        info.session,
        info.host,
        info.pid,
        info.opened_us,
        info.closed_us if info.HasField("closed_us") else None,
        info.expires_us if info.HasField("expires_us") else None,
        info.name,
        info.about,
        info.runs,
    )


def queue_to(queue: QueueRow) -> pb.Queue:
    """A queue's limits."""
    return pb.Queue(
        name=queue.name,
        concurrency=queue.concurrency,
        concurrency_per_share=queue.concurrency_per_share,
        rate=queue.rate,
        rate_period_us=queue.rate_period_us,
        burst=queue.burst,
        is_paused=queue.is_paused,
    )


def queue_from(queue: pb.Queue) -> QueueRow:
    """A queue's limits; numbers that were not given have their defaults."""
    return QueueRow(
        queue.name,
        queue.concurrency if queue.HasField("concurrency") else None,
        queue.concurrency_per_share if queue.HasField("concurrency_per_share") else None,
        queue.rate if queue.HasField("rate") else None,
        queue.rate_period_us or 1_000_000,
        queue.burst or 1,
        queue.is_paused,
    )


def queue_state_to(state: QueueState) -> pb.QueueInfo:
    """How a queue stands."""
    return pb.QueueInfo(
        queue=queue_to(state.queue),
        pending=state.pending,
        running=state.running,
        oldest_us=state.oldest_us,
        tat_us=state.tat_us,
    )


def queue_state_from(info: pb.QueueInfo) -> QueueState:
    """How a queue stands."""
    oldest_us = info.oldest_us if info.HasField("oldest_us") else None
    return QueueState(queue_from(info.queue), info.pending, info.running, oldest_us, info.tat_us)


def schedule_to(schedule: ScheduleRow) -> pb.Schedule:
    """A schedule."""
    return pb.Schedule(
        id=schedule.id,
        spec=schedule.spec,
        next_us=schedule.next_us,
        is_paused=schedule.is_paused,
        last_run=schedule.last_run,
    )


def schedule_from(schedule: pb.Schedule) -> ScheduleRow:
    """A schedule."""
    next_us = schedule.next_us if schedule.HasField("next_us") else None
    return ScheduleRow(schedule.id, schedule.spec, next_us, schedule.is_paused, schedule.last_run)


def states_from(numbers: Iterable[int]) -> tuple[State, ...]:
    """Several states; raises `SerializationError`."""
    return tuple(state_from(number) for number in numbers)
