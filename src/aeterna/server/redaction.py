"""What is shown of runs, histories and schedules to those who may know that something happened, but not what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from aeterna.durable.core.events import AnyEvent, ErrorRecord, Event, Payload
from aeterna.durable.core.states import Detail
from aeterna.durable.operations.schedules import Schedule
from aeterna.durable.operations.summary import Summary
from aeterna.durable.stores.contract import RunRow
from aeterna.server.auth import Identity

HIDDEN_TEXT = "(hidden)"
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
            hidden[field.name] = ErrorRecord(value.type, HIDDEN_TEXT)
        elif field.name == "fingerprint":
            # A hash of the arguments, which could be guessed.
            hidden[field.name] = b""
        elif field.type is Payload:
            hidden[field.name] = HIDDEN
        elif field.name in _TEXTS and value:
            hidden[field.name] = HIDDEN_TEXT
    return msgspec.structs.replace(event, **hidden) if hidden else event


def row_without_payloads(row: RunRow) -> RunRow:
    """The row; why a run is stuck may be the text of an error, everything else in it is a name."""
    return msgspec.structs.replace(row, note=HIDDEN_TEXT) if row.detail is Detail.STUCK and row.note else row


def seen_by(identity: Identity, row: RunRow) -> RunRow:
    """The row as this caller may see it."""
    return row if identity.sees_payloads else row_without_payloads(row)


def view_without_payloads(row: RunRow, history: Sequence[AnyEvent]) -> tuple[RunRow, Sequence[AnyEvent]]:
    """Both, for explanations (see `operations.why`)."""
    return row_without_payloads(row), [without_payloads(event) for event in history]


def schedule_without_payloads(found: Schedule) -> Schedule:
    """The schedule, without the arguments of its runs and what somebody noted about it."""
    spec = msgspec.structs.replace(found.spec, arguments=HIDDEN, note=HIDDEN_TEXT if found.spec.note else "")
    row = msgspec.structs.replace(found.row, spec=msgspec.json.encode(spec).decode())
    return found._replace(row=row, spec=spec)


def summary_without_payloads(found: Summary) -> Summary:
    """As `row_without_payloads`, for the runs that are stuck."""
    stuck = [
        msgspec.structs.replace(each, note=HIDDEN_TEXT) if each.detail == Detail.STUCK.value and each.note else each
        for each in found.stuck
    ]
    return msgspec.structs.replace(found, stuck=stuck)
