"""Records to messages and back, for what a worker's session carries: writes, outcomes and runs.

What comes in may be anything: a message that no record fits raises `SerializationError`. Segments are decoded to see
that they can be, and passed on as they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from aeterna.durable.core.events import Payload, StepCompleted, StepFailed
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
    CreateRun,
    Events,
    Exists,
    FencedOff,
    FireSchedule,
    Head,
    Outcome,
    Post,
    Posted,
    Refused,
    Sealed,
    Write,
)
from aeterna.durable.wire.convert import (
    STATES,
    detail_from,
    events_from,
    kind_from,
    kind_to,
    row_from,
    row_to,
    segment_to,
    state_from,
)
from aeterna.durable.wire.generated import records_pb2
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel import errors
from aeterna.kernel.errors import AeternaError, SerializationError, StoreError

_APPENDED = pb.Outcome(appended=True)
_FENCED = pb.Outcome(fenced=True)


def write_to(write: Write, session: int | None) -> pb.Write:
    """A write of a worker; a creation is owned if it names the worker's ``session``."""
    match write:
        case Append():
            return pb.Write(append=_append_to(write))
        case CreateRun():
            return pb.Write(create=_creation_to(write, session))
        case Post():
            return pb.Write(
                post=pb.Posting(
                    run_id=write.run_id,
                    id=write.id,
                    kind=kind_to(write.kind),
                    name=write.name,
                    payload=write.payload,
                    at_us=write.at_us,
                )
            )
        case FireSchedule():
            run = None if write.run is None else _creation_to(write.run, session)
            return pb.Write(
                fire=pb.Firing(schedule=write.schedule, due_us=write.due_us, next_us=write.next_us, run=run)
            )
        case _:
            assert_never(write)


def write_from(write: pb.Write, session: int) -> Write:
    """The write; ``session`` is that of the stream it came on. Raises `SerializationError`."""
    match write.WhichOneof("write"):
        case "append":
            return _append_from(write.append)
        case "create":
            return _creation_from(write.create, session)
        case "post":
            post = write.post
            kind = kind_from(post.kind)
            return Post(post.run_id, post.id, kind, post.name, Payload(post.payload), post.at_us)
        case "fire":
            fire = write.fire
            next_us = fire.next_us if fire.HasField("next_us") else None
            run = _creation_from(fire.run, session) if fire.HasField("run") else None
            return FireSchedule(fire.schedule, fire.due_us, next_us, run)
        case _:
            raise SerializationError("a write is empty, or of a kind that this release does not know")


def writes_from(writes: Iterable[pb.Write], session: int) -> list[Write]:
    """All writes of a batch."""
    return [write_from(write, session) for write in writes]


def _append_to(write: Append) -> pb.Append:
    head = write.head
    return pb.Append(
        key=write.key,
        epoch=write.epoch,
        first=write.first,
        events=segment_to(write.events) if write.events else None,
        at_us=write.at_us,
        head=None if head is None else _head_to(head),
        consumed=write.consumed,
        is_repeat=write.is_repeat,
    )


def _append_from(write: pb.Append) -> Append:
    return Append(
        write.key,
        write.epoch,
        write.first,
        _sealed(write.events) if write.HasField("events") else (),
        write.at_us,
        _head_from(write.head) if write.HasField("head") else None,
        tuple(write.consumed),
        write.is_repeat,
    )


def _sealed(segment: records_pb2.Segment) -> Events:
    events = events_from(segment)
    ends = [event for event in events if isinstance(event, StepCompleted | StepFailed)]
    return Sealed(len(events), segment.body, tuple(event.duration_us for event in ends)) if events else ()


def _head_to(head: Head) -> pb.Head:
    return pb.Head(
        state=STATES[head.state], detail=head.detail, wake_us=head.wake_us, release=head.release, note=head.note
    )


def _head_from(head: pb.Head) -> Head:
    wake_us = head.wake_us if head.HasField("wake_us") else None
    return Head(state_from(head.state), detail_from(head.detail), wake_us, head.release, head.note)


def _creation_to(write: CreateRun, session: int | None) -> pb.Creation:
    return pb.Creation(
        id=write.id,
        workflow=write.workflow,
        version=write.version,
        state=STATES[write.state],
        detail=write.detail,
        is_owned=write.owner is not None and write.owner == session,
        events=segment_to(write.events),
        parent=write.parent,
        queue=write.queue,
        priority=write.priority,
        share=write.share,
        requires=write.requires,
        wake_us=write.wake_us,
        singleton=write.singleton,
        debounce=write.debounce,
    )


def _creation_from(write: pb.Creation, session: int) -> CreateRun:
    # Typed, and not sealed: the store looks at the first event and the last.
    events = events_from(write.events)
    if not events or type(events[0]).__name__ != "RunCreated":
        raise SerializationError(f"the history of a new run begins with RunCreated; that of {write.id!r} does not")
    return CreateRun(
        write.id,
        write.workflow,
        write.version,
        state_from(write.state),
        detail_from(write.detail),
        session if write.is_owned else None,
        tuple(events),
        write.parent if write.HasField("parent") else None,
        write.queue,
        write.priority,
        write.share,
        tuple(write.requires),
        write.wake_us if write.HasField("wake_us") else None,
        write.singleton if write.HasField("singleton") else None,
        write.debounce,
    )


def outcome_to(outcome: Outcome) -> pb.Outcome:
    """What became of a write."""
    match outcome:
        case Appended():
            return _APPENDED
        case FencedOff():
            return _FENCED
        case Created():
            return pb.Outcome(created=pb.Created(key=outcome.key, epoch=outcome.epoch))
        case Exists():
            return pb.Outcome(exists=row_to(outcome.row))
        case Posted():
            posted = pb.Posted(number=outcome.number, owner=outcome.owner, is_duplicate=outcome.is_duplicate)
            return pb.Outcome(posted=posted)
        case Refused():
            info = None if outcome.row is None else row_to(outcome.row)
            return pb.Outcome(refused=pb.Refused(info=info))
        case _:
            assert_never(outcome)


def outcome_from(outcome: pb.Outcome) -> Outcome:
    """What became of a write; raises `SerializationError`."""
    match outcome.WhichOneof("outcome"):
        case "appended":
            return Appended()
        case "fenced":
            return FencedOff()
        case "created":
            return Created(outcome.created.key, outcome.created.epoch)
        case "exists":
            return Exists(row_from(outcome.exists))
        case "posted":
            posted = outcome.posted
            return Posted(posted.number, posted.owner if posted.HasField("owner") else None, posted.is_duplicate)
        case "refused":
            refused = outcome.refused
            return Refused(row_from(refused.info) if refused.HasField("info") else None)
        case _:
            raise SerializationError("an outcome is of a kind that this release does not know")


def result_to(number: int, outcomes: Sequence[Outcome]) -> pb.BatchResult:
    """The answer to a batch that was carried out."""
    return pb.BatchResult(number=number, outcomes=[outcome_to(outcome) for outcome in outcomes])


def failure_to(error: Exception) -> pb.Failure:
    """An error, by the name of its class and its text."""
    if not isinstance(error, AeternaError):
        return pb.Failure(kind="InvariantError", message=f"{type(error).__name__}: {error}")
    return pb.Failure(kind=type(error).__name__, message=str(error))


def failure_from(failure: pb.Failure) -> AeternaError:
    """The error; one of a class that is not known here, or takes more than a text, is a `StoreError`."""
    return error_named(failure.kind, failure.message)


def error_named(kind: str, message: str) -> AeternaError:
    """An error of the class of that name in `kernel.errors`."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, AeternaError) and "__init__" not in vars(found):
        return found(message)
    return StoreError(f"{kind}: {message}" if kind else message)
