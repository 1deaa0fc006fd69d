"""What a process says of itself and of its memory, read and checked: nothing is believed to have the right shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from aeterna.supervisor.host.relay_faults import RelayError, RelayFault

PARTS_MAX = 512
"""A part is a descriptor, and there are so many of those."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Size = Annotated[int, Meta(ge=0)]
C = TypeVar("C", bound=Struct)


class Declared(Struct, frozen=True):
    """A part of the state that a process has."""

    part: Name
    codec: Annotated[str, Meta(max_length=200)] = "raw"
    version: int = 1


class Hello(Struct, frozen=True):
    """Who a process is. ``gate`` and ``lease``: how it stands, if it says so; ``fds``: it can be sent descriptors."""

    generation: int
    token: str
    fds: bool = False
    gate: str | None = None
    lease: bool | None = None
    parts: Annotated[tuple[Declared, ...], Meta(max_length=PARTS_MAX)] = ()


class Manifest(Struct, frozen=True):
    """What is said of a part that is on its way. ``chunks``: its content follows in frames."""

    part: Name
    bytes: Size
    codec: Annotated[str, Meta(max_length=200)] = "raw"
    version: int = 1
    live: bool = False
    chunks: bool = False


class End(Struct, frozen=True):
    """The end of a state."""

    digests: dict[str, Annotated[str, Meta(max_length=128)]] = {}


class Restored(Struct, frozen=True):
    """What a process has taken over; ``dropped``: what it does not know."""

    digests: dict[str, str] | None = None
    dropped: tuple[str, ...] = ()


class Progress(Struct, frozen=True):
    """How far a process has come with a part."""

    part: Annotated[str, Meta(max_length=200)] = ""
    checked: Size = 0


def read(body: Mapping[str, Any], kind: type[C]) -> C:
    """The claim in a message. Raises `RelayError` (GARBAGE) if it is none."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise RelayError(RelayFault.GARBAGE, f"no valid {kind.__name__.lower()}: {error}") from error
