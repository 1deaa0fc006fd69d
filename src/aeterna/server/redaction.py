"""What is shown of a history to those who may know that something happened, but not what."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from aeterna.durable.core.events import ErrorRecord, Event, Payload

HIDDEN = Payload(b'j"(hidden)"')
E = TypeVar("E", bound=Event)

_TEXTS = ("reason",)
"""Fields in which people write what they like."""


def without_payloads(event: E) -> E:
    """The event, without anything that user code or a user put into it: arguments, results, signals, heartbeats, the
    texts of errors and reasons. Names and times stay."""
    hidden: dict[str, object] = {}
    for field in msgspec.structs.fields(event):
        value = getattr(event, field.name)
        if isinstance(value, ErrorRecord):
            hidden[field.name] = ErrorRecord(value.type, "(hidden)")
        elif field.name == "fingerprint":
            # A hash of the arguments, which could be guessed.
            hidden[field.name] = b""
        elif field.type is Payload:
            hidden[field.name] = HIDDEN
        elif field.name in _TEXTS and value:
            hidden[field.name] = "(hidden)"
    return msgspec.structs.replace(event, **hidden) if hidden else event
