"""Which text a store can keep: all that UTF-8 can hold. What it cannot are lone surrogates, which come into Python from
file names and command lines that were not UTF-8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import assert_never

import msgspec

from aeterna.durable.stores.contract import Append, Choice, CreateRun, FireSchedule, Post, Write
from aeterna.kernel.errors import SerializationError

_CHARS_SHOWN = 20

_encoder = msgspec.msgpack.Encoder()


def require_text(what: str, text: str) -> None:
    """Raise `SerializationError` for text that no store can keep; ``what`` names it ("run id")."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text[max(0, error.start - _CHARS_SHOWN) : error.start + _CHARS_SHOWN]
        raise SerializationError(
            f"{what} holds a lone surrogate at character {error.start} ({shown!r}), which UTF-8 cannot: decode the "
            f"bytes it came from with errors='replace'"
        ) from None


def require_choice(choice: Choice) -> None:
    """Raise `SerializationError` for a choice that no store can be asked for."""
    for name in chain(*(choice.workflows or ()), choice.queues or (), choice.capabilities):
        require_text("choice", name)


def refuse_unrecordable(writes: Sequence[Write]) -> None:
    """Raise `SerializationError`, naming the field, if some text in ``writes`` cannot be kept."""
    try:
        _encoder.encode(writes)
    except UnicodeEncodeError:
        for write in writes:
            whose = f"{_name(write)}: "
            for field, text in _texts(write, ""):
                require_text(whose + field, text)
        raise


def _name(write: Write) -> str:
    match write:
        case CreateRun():
            return f"run {write.id!r}"
        case Append():
            return f"append to the run of key {write.key}"
        case Post():
            return f"message to run {write.run_id!r}"
        case FireSchedule():
            return f"run of schedule {write.schedule!r}"
        case _:
            assert_never(write)


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Every text in the record, with where it is: ``events[2].error.message``."""
    match value:
        case str():
            yield place, value
        case tuple():
            for number, item in enumerate(value):
                yield from _texts(item, f"{place}[{number}]")
        case msgspec.Struct():
            for field in value.__struct_fields__:
                yield from _texts(getattr(value, field), f"{place}.{field}" if place else field)
        case _:
            return
