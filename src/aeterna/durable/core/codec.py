"""How values become payloads and come back.

A payload is one tag byte that names the encoding, then the data: ``j`` JSON, ``b`` raw bytes. JSON types,
dataclasses, msgspec structs, pydantic models, datetimes, UUIDs, bytes, decimals and enums go in; what comes out is
shaped by the type that is asked for, and is plain JSON types where none is. Nothing here ever runs code out of a
payload: there is no pickle.

pydantic is recognised by its two methods and not imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from aeterna.durable.core.events import Payload
from aeterna.kernel.errors import PayloadTooLargeError, SerializationError

JSON_TAG = b"j"
BYTES_TAG = b"b"
SUPPORTED = "JSON types, dataclasses, msgspec and pydantic models, datetime, UUID, Decimal, bytes and enums"


def _encode_model(value: Any) -> Any:
    dump = getattr(type(value), "model_dump", None)
    if dump is None:
        raise NotImplementedError(f"values of type {type(value).__qualname__} cannot be encoded")
    return dump(value, mode="json")


def _decode_model(kind: type, value: Any) -> Any:
    if kind is object:
        return value
    validate: Callable[[Any], Any] | None = getattr(kind, "model_validate", None)
    if validate is None:
        raise NotImplementedError(f"values of type {kind.__qualname__} cannot be rebuilt")
    return validate(value)


def _encode_model_by_value(value: Any) -> Any:
    """As `_encode_model`, with sets left as sets, so that the canonical encoder can put them in order."""
    dump = getattr(type(value), "model_dump", None)
    return _encode_model(value) if dump is None else dump(value, mode="python")


_encoder = msgspec.json.Encoder(enc_hook=_encode_model)
_canonical = msgspec.json.Encoder(enc_hook=_encode_model_by_value, order="deterministic")
_canonical_plain = msgspec.json.Encoder(enc_hook=_encode_model, order="deterministic")
_plain = msgspec.json.Decoder()


def encode(value: Any, what: str, size_max: int) -> Payload:
    """The payload of ``value``; ``what`` names it in errors ("the result of step 'fetch'").

    Raises `SerializationError` with the place of the offending part, or `PayloadTooLargeError` above ``size_max``
    bytes."""
    if type(value) is bytes:
        payload = BYTES_TAG + value
    else:
        payload = JSON_TAG + _encode_json(_encoder, value, what)
    if len(payload) > size_max:
        raise PayloadTooLargeError(
            f"{what} takes {len(payload):,} bytes, the limit is {size_max:,}: "
            "store it elsewhere and record where, or raise Limits.payload_bytes_max"
        )
    return Payload(payload)


def fingerprint(value: Any, what: str) -> bytes:
    """Eight bytes that stand for ``value``: equal values have equal ones, whatever their dict or set order is."""
    try:
        data = _canonical.encode(value)
    except (NotImplementedError, TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        # A model may hold what only its own JSON form can express; if even that fails, the error says where.
        data = _encode_json(_canonical_plain, value, what)
    return hashlib.blake2b(data, digest_size=8).digest()


def decode(payload: Payload, kind: Any, what: str) -> Any:
    """The value of ``payload`` as a ``kind`` (``Any``: plain JSON types).

    Raises `SerializationError` if it does not fit.
    """
    tag, data = payload[:1], memoryview(payload)[1:]
    if tag == BYTES_TAG:
        return bytes(data)
    if tag != JSON_TAG:
        raise SerializationError(f"{what} has the unknown encoding {tag!r}; a newer release may have written it")
    try:
        return decoder(kind).decode(data)
    except msgspec.MsgspecError as error:
        raise SerializationError(f"{what} does not fit its type {_name(kind)}: {error}") from error
    except (NotImplementedError, TypeError, ValueError) as error:
        raise SerializationError(f"{what} cannot be read as {_name(kind)}: {error}") from error


def as_text(payload: Payload) -> str:
    """The payload for people: its JSON, or the size of its raw bytes."""
    if payload[:1] == JSON_TAG:
        return payload[1:].decode()
    return f"<{len(payload) - 1} bytes>"


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """The decoder for an annotation; one that msgspec cannot read (or an unhashable one) counts as no annotation."""
    if kind is Any or kind is None:
        return _plain
    try:
        return _decoder(kind)
    except TypeError:
        return _plain


@lru_cache(maxsize=4096)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_decode_model)


def _encode_json(encoder: msgspec.json.Encoder, value: Any, what: str) -> bytes:
    try:
        data = encoder.encode(value)
    except (NotImplementedError, TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        place, part = _offender(value)
        raise SerializationError(
            f"{what} cannot be recorded: {place} is a {type(part).__qualname__} ({_short(part)}): {error}. "
            f"Use {SUPPORTED}."
        ) from error
    if b"null" in data:
        # JSON has no NaN or infinity, and the encoder writes null for them: losing a value silently is worse than an
        # error.
        for place, part in _parts(value, "$"):
            if isinstance(part, float) and not math.isfinite(part):
                raise SerializationError(f"{what} cannot be recorded: {place} is {part}, which JSON cannot hold")
    return data


def _offender(value: Any) -> tuple[str, Any]:
    """The deepest part of ``value`` that cannot be encoded by itself, with its place."""
    found = ("$", value)
    try:
        for place, part in _parts(value, "$"):
            if not _encodes(part):
                found = (place, part)
    except RecursionError:
        return ("$", "a structure that contains itself")
    return found


def _encodes(part: Any) -> bool:
    try:
        _encoder.encode(part)
    except (NotImplementedError, TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return False
    return True


def _parts(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    yield place, value
    match value:
        case dict():
            inner = [(f"{place}[{key!r}]", part) for key, part in value.items()]
        case list() | tuple() | set() | frozenset():
            inner = [(f"{place}[{index}]", part) for index, part in enumerate(value)]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            inner = [(f"{place}.{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value)]
        case msgspec.Struct():
            inner = [(f"{place}.{name}", getattr(value, name)) for name in value.__struct_fields__]
        case _:
            inner = []
    for inner_place, part in inner:
        yield from _parts(part, inner_place)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _name(kind: Any) -> str:
    return getattr(kind, "__qualname__", None) or str(kind)
