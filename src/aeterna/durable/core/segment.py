"""How events become bytes and come back, whichever release wrote them.

A segment is what one commit added to one run's history: ``[version, event, event, ...]`` in msgpack, each event an
array that starts with its type tag. Reading an older version runs its up-casters, one per step of the version, on the
raw arrays before they become typed records; a newer version is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from aeterna.durable.core.events import HISTORY_VERSION, AnyEvent
from aeterna.kernel.errors import StoreCorruptError, StoreTooNewError

RawEvent = list[Any]
Upcaster = Callable[[RawEvent], RawEvent]

UPCASTERS: Mapping[int, Upcaster] = {}
"""``version -> function`` that turns one raw event of that version into one of the next."""

_encoder = msgspec.msgpack.Encoder()
_events = msgspec.msgpack.Decoder(list[AnyEvent])
_raw = msgspec.msgpack.Decoder(list[list[Any]])


def encode_segment(events: Sequence[AnyEvent]) -> bytes:
    """One segment that holds ``events`` in order."""
    return bytes((HISTORY_VERSION,)) + _encoder.encode(events)


def decode_segment(body: bytes, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> list[AnyEvent]:
    """The events of one segment, brought up to the current version.

    Raises `StoreTooNewError` for a segment of a later version and `StoreCorruptError` for bytes that are no segment.
    """
    if not body:
        raise StoreCorruptError("a history segment is empty")
    version = body[0]
    if version > HISTORY_VERSION:
        raise StoreTooNewError(
            f"history version {version} is newer than {HISTORY_VERSION}, the newest this release reads"
        )
    try:
        if version == HISTORY_VERSION:
            return _events.decode(memoryview(body)[1:])
        return [_upcast(raw, version, upcasters) for raw in _raw.decode(memoryview(body)[1:])]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreCorruptError(f"a history segment cannot be read: {error}") from error


def _upcast(raw: RawEvent, version: int, upcasters: Mapping[int, Upcaster]) -> AnyEvent:
    for step in range(version, HISTORY_VERSION):
        upcaster = upcasters.get(step)
        if upcaster is None:
            raise StoreCorruptError(f"a history segment claims version {step}, which no release wrote")
        raw = upcaster(raw)
    event: AnyEvent = msgspec.convert(raw, AnyEvent)
    return event
