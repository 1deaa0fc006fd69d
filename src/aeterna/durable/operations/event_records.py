"""Events as people and programs read them: small, because reading commands have no time to load more."""

from __future__ import annotations

import binascii
import contextlib
import json
from typing import Any

from aeterna.durable.core import events as ev

JSON_TAG = b"j"
"""`codec.JSON_TAG`, repeated because codec takes too long to load here; a test compares them."""

_KEY_FIELDS = ("at_us", "path", "name", "occurrence")
_PAYLOADS = ("result", "arguments", "payload", "details")


def value_of(payload: ev.Payload) -> Any:
    """The recorded value in JSON types; raw bytes, and what says it is JSON and is not, as base64."""
    if payload[:1] == JSON_TAG:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(payload[1:])
    return binascii.b2a_base64(payload[1:], newline=False).decode()


def error_record(error: ev.ErrorRecord) -> dict[str, str]:
    """A recorded exception as JSON."""
    return {
        "type": error.type.removeprefix("builtins:").replace(":", "."),
        "message": error.message,
        "traceback": error.traceback,
    }


def as_outcome(event: ev.AnyEvent) -> dict[str, Any]:
    """What the last event of a run says about its end."""
    match event:
        case ev.RunCompleted():
            return {"result": value_of(event.result), "error": None}
        case ev.RunFailed():
            return {"result": None, "error": error_record(event.error)}
        case ev.RunCancelled():
            return {"result": None, "error": None, "reason": event.reason}
        case _:
            return {"result": None, "error": None}


def as_record(number: int, event: ev.AnyEvent, at: str | None) -> dict[str, Any]:
    """One event as JSON: its number, time and type, then its fields."""
    record: dict[str, Any] = {"number": number, "at": at, "event": type(event).__name__}
    if isinstance(event, ev.KeyedEvent):
        record |= {"name": event.name, "path": event.path, "occurrence": event.occurrence}
    place = _KEY_FIELDS if isinstance(event, ev.KeyedEvent) else ("at_us",)
    for name in event.__struct_fields__:
        if name not in place:
            # The number of a message is not that of the event, which stands first.
            record["message" if name == "number" else name] = _plain(name, getattr(event, name))
    return record


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, ev.ErrorRecord):
        return error_record(value)
    if name in _PAYLOADS:
        return value_of(value)
    return value.hex() if isinstance(value, bytes) else value


def key_text(event: ev.AnyEvent) -> str:
    """The identity of a step, timer or child: its name, ``#2`` for a later occurrence, ``@0.1`` for another task."""
    if not isinstance(event, ev.KeyedEvent):
        return ""
    occurrence = f" #{event.occurrence}" if event.occurrence > 1 else ""
    task = f" @{event.path}" if event.path != "0" else ""
    return f"{event.name}{occurrence}{task}"


def error_of(event: ev.AnyEvent) -> ev.ErrorRecord | None:
    """The exception an event records."""
    error = getattr(event, "error", None)
    return error if isinstance(error, ev.ErrorRecord) else None
