"""What the stores that write to disk have in common about the events of a write, and about new runs."""

from __future__ import annotations

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.segment import decode_segment, encode_segment
from aeterna.durable.stores.contract import CreateRun, Events, Sealed
from aeterna.kernel.errors import InvariantError


def body_of(events: Events) -> bytes:
    """Events as one segment; raises `UnicodeEncodeError` for text that UTF-8 cannot hold."""
    return events.body if isinstance(events, Sealed) else encode_segment(events)


def events_of(events: Events) -> list[AnyEvent]:
    """Events as such."""
    return decode_segment(events.body) if isinstance(events, Sealed) else list(events)


def first_and_last_us(events: Events) -> tuple[int, int]:
    """When the first of the events happened, and the latest of both ends: a fork is made after what it begins with."""
    plain = events_of(events) if isinstance(events, Sealed) else events
    return plain[0].at_us, max(plain[0].at_us, plain[-1].at_us)


def require_events(write: CreateRun) -> None:
    """Raise `InvariantError` for a run without events."""
    if not len(write.events):
        raise InvariantError(f"run {write.id!r} cannot be created without a RunCreated event")


def require_creatable(write: CreateRun) -> None:
    """Raise, before anything is written, `InvariantError` for a run without events, and `UnicodeEncodeError` for text
    that UTF-8 cannot hold. The events show theirs when they are encoded."""
    require_events(write)
    # Tried all at once, which costs next to nothing.
    texts = (write.id, write.workflow, write.version, write.parent or "", write.queue, write.share, *write.requires)
    "".join((*texts, write.singleton or "")).encode()
