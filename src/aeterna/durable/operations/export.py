"""Runs and their histories as lines of JSON that stand for themselves, for other programs to read.

The lines and their fields are described in ``docs/reference/export.md``; fields are added, never changed.
"""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.moments import iso_utc
from aeterna.durable.core.segment import decode_segment
from aeterna.durable.stores.audit import PAYLOAD_FIELDS
from aeterna.durable.stores.ledger import Ledger, RunRecord, SegmentRecord, Wanted
from aeterna.kernel.errors import AeternaError
from aeterna.kernel.version import VERSION

FORMAT = 1

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class Export:
    """One export. ``runs``, ``events``: how many it has written; ``damaged``: segments that could not be read."""

    def __init__(self, ledger: Ledger, wanted: Wanted) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self.runs = 0
        self.events = 0
        self.damaged = 0

    async def lines(self, now_us: int) -> AsyncIterator[bytes]:
        """The lines in order: a head, each run with its events after it, an end without which a file is torn."""
        head = {"kind": "export", "format": FORMAT, "release": VERSION, "store": self._ledger.description}
        yield _line(head | {"at": iso_utc(now_us)})
        key: int | None = None
        async for run, segment in self._ledger.entries(self._wanted):
            if run.key != key:
                key = run.key
                self.runs += 1
                yield _line(_run_record(run))
            for record in () if segment is None else self._history(run, segment):
                yield _line(record)
        yield _line({"kind": "end", "runs": self.runs, "events": self.events, "damaged": self.damaged})

    def _history(self, run: RunRecord, segment: SegmentRecord) -> Iterator[dict[str, Any]]:
        place = {"app": run.namespace, "run": run.id}
        try:
            events = decode_segment(segment.body)
        except AeternaError as error:
            self.damaged += 1
            damage = {"number": segment.first, "events": segment.events, "problem": str(error)}
            yield {"kind": "damage", **place, **damage, "body": _base64(segment.body)}
            return
        for number, event in enumerate(events, segment.first):
            self.events += 1
            yield {"kind": "event", **place, "number": number, **_event_record(event)}


def payload_record(payload: ev.Payload) -> dict[str, Any]:
    """An encoded value: ``{"json": value}``, ``{"bytes": base64}``, or ``{"raw": base64}`` of what is neither."""
    tag, data = payload[:1], payload[1:]
    if tag == codec.BYTES_TAG:
        return {"bytes": _base64(data)}
    if tag == codec.JSON_TAG:
        try:
            value = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {"raw": _base64(payload)}
        # As it was recorded, number by number, but never over several lines.
        return {"json": value if b"\n" in data or b"\r" in data else msgspec.Raw(data)}
    return {"raw": _base64(payload)}


def _run_record(run: RunRecord) -> dict[str, Any]:
    return {
        "kind": "run",
        "app": run.namespace,
        "run": run.id,
        "workflow": run.workflow,
        "version": run.version,
        "state": run.state,
        "detail": run.detail,
        "created_at": iso_utc(run.created_us),
        "updated_at": iso_utc(run.updated_us),
        "finished_at": None if run.finished_us is None else iso_utc(run.finished_us),
        "wake_us": run.wake_us,
        "parent": run.parent,
        "note": run.note,
        "epoch": run.epoch,
        "queue": run.queue,
        "priority": run.priority,
        "share": run.share,
        "requires": run.requires,
        "crashes": run.crashes,
    }


def _event_record(event: ev.AnyEvent) -> dict[str, Any]:
    record: dict[str, Any] = {"event": type(event).__name__, "at": iso_utc(event.at_us)}
    for name in event.__struct_fields__:
        # The number of a message is not that of the event, which stands first.
        record["message" if name == "number" else name] = _plain(name, getattr(event, name))
    return record


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, ev.ErrorRecord):
        arguments = None if value.arguments is None else payload_record(value.arguments)
        return {"type": value.type, "message": value.message, "traceback": value.traceback, "arguments": arguments}
    if name in PAYLOAD_FIELDS:
        return payload_record(value)
    return value.hex() if isinstance(value, bytes) else value


def _line(record: dict[str, Any]) -> bytes:
    return _encoder.encode(record) + b"\n"


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
