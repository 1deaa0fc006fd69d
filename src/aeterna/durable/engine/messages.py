"""What becomes of a message when it leaves the inbox: the event that records it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import Run
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.run_log import RunLog
from aeterna.durable.stores.contract import NEVER_US, Append, Head, Message, MessageKind, RunRow

MessageEvent = ev.SignalReceived | ev.CancelRequested | ev.RunPaused | ev.RunResumed


def event_of(message: Message, run: Run, now_us: int) -> MessageEvent | None:
    """The event for a run that stands like this; None if the message changes nothing, because it is so already."""
    match message.kind:
        case MessageKind.SIGNAL:
            return ev.SignalReceived(now_us, message.number, message.id, message.name, message.payload)
        case MessageKind.CANCEL:
            return ev.CancelRequested(now_us, message.name, message.number) if run.cancel_reason is None else None
        case MessageKind.PAUSE:
            is_idle = run.is_paused or run.cancel_reason is not None
            return None if is_idle else ev.RunPaused(now_us, message.name, message.number)
        case MessageKind.RESUME:
            return ev.RunResumed(now_us, message.number) if run.is_paused else None
        case _:
            assert_never(message.kind)


def record(messages: Sequence[Message], log: RunLog, now_us: int) -> None:
    """Append what the messages say and take them out of the inbox with the same commit; what is recorded already is
    only taken out."""
    for message in messages:
        is_new = message.number > log.run.last_message
        event = event_of(message, log.run, now_us) if is_new else None
        if event is not None:
            log.append(event)
        log.consume(message.number)


def keep_from_starting(row: RunRow, messages: Sequence[Message], now_us: int) -> Append | None:
    """The write that ends or parks a claimed PENDING run as its messages say; None if it may start."""
    if row.state is not State.PENDING:
        return None
    cancels = [message for message in messages if message.kind is MessageKind.CANCEL]
    if cancels:
        end: tuple[ev.AnyEvent, ...] = (ev.RunCancelled(now_us, cancels[0].name),)
        numbers = tuple(message.number for message in messages)
        head = Head(State.CANCELLED, Detail.NONE)
        return Append(row.key, row.epoch, row.length, end, now_us, head, numbers)
    turns = [message for message in messages if message.kind in (MessageKind.PAUSE, MessageKind.RESUME)]
    if not turns or turns[-1].kind is MessageKind.RESUME:
        return None
    parked: tuple[ev.AnyEvent, ...] = (ev.RunPaused(now_us, turns[-1].name, turns[-1].number),)
    numbers = tuple(message.number for message in turns)
    head = Head(State.PENDING, Detail.PAUSED, NEVER_US, release=True)
    return Append(row.key, row.epoch, row.length, parked, now_us, head, numbers)
