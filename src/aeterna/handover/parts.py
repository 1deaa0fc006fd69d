"""The parts of a process's state: named objects that move to the next generation, each in its own way.

Knows no protocol. A *value* is encoded into a sealed memory and filled into the same object on the other side; a
*buffer* is the memory itself. The invariants: an object handed to the application stays the same object for ever, and
nothing is changed before everything that arrived has been checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from aeterna.handover import memory

PutInPlace = Callable[[], None]


class DumpError(ValueError):
    """A part cannot be given away."""


class LoadError(ValueError):
    """What arrived does not fit the part it is for."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How a value becomes bytes, and how bytes are taken in: checked at once, put in place by what is returned."""

    dump: Callable[[Any], memory.Data]
    take: Callable[[Any, memoryview], PutInPlace]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is said of a part: its encoding (``json``, ``msgpack``, ``raw``, ``buffer``, ...), its version and size.

    ``is_live``: it is the memory itself, not a copy.
    """

    name: str
    codec: str
    version: int
    size: int
    is_live: bool = False

    def plain(self) -> dict[str, Any]:
        return {
            "part": self.name,
            "codec": self.codec,
            "version": self.version,
            "bytes": self.size,
            "live": self.is_live,
        }


class Part(Protocol):
    """One part of the state."""

    name: str
    codec: str
    version: int
    versions: frozenset[int]
    """The versions of earlier parts that can be taken."""
    is_live: bool

    def export(self) -> tuple[int, Manifest]:
        """A memory that holds it; the caller owns the descriptor. Raises `DumpError`, `OSError`."""
        ...

    def prepare(self, fd: int) -> None:
        """Do ahead what can be, with the memory that will arrive, while its owner still serves. Raises `LoadError`."""
        ...

    def content(self, fd: int) -> memoryview:
        """What the memory of this part holds."""
        ...

    def take(self, fd: int, data: memoryview) -> PutInPlace:
        """Check it; what is returned puts it in place. Both raise `LoadError`."""
        ...

    def settle(self) -> None:
        """The process serves now: what was prepared and did not arrive is given up."""
        ...


@dataclass(slots=True)
class ValuePart:
    """An ordinary object: a dict, list, set, bytearray, or anything with hooks of its own."""

    name: str
    value: Any
    codec: str
    how: Codec
    version: int = 1
    versions: frozenset[int] = field(default_factory=lambda: frozenset({1}))
    is_live: bool = False

    def export(self) -> tuple[int, Manifest]:
        with _in_words(DumpError, self.name), memoryview(self.how.dump(self.value)).cast("B") as data:
            return memory.create_sealed(self.name, data), Manifest(self.name, self.codec, self.version, len(data))

    def prepare(self, fd: int) -> None:
        """There is nothing to do ahead: it does not exist yet."""

    def content(self, fd: int) -> memoryview:
        return memory.content(fd)

    def take(self, fd: int, data: memoryview) -> PutInPlace:
        with _in_words(LoadError, self.name):
            put = self.how.take(self.value, data)
        return partial(self._put, put)

    def _put(self, put: PutInPlace) -> None:
        with _in_words(LoadError, self.name):
            put()

    def settle(self) -> None:
        """Nothing was prepared."""


@contextmanager
def _in_words(error_type: type[ValueError], name: str) -> Iterator[None]:
    """A user's hook may raise anything; the handover fails with its words."""
    try:
        yield
    except error_type as error:
        raise error_type(f"part {name!r}: {error}") from error
    except Exception as error:
        raise error_type(f"part {name!r}: {type(error).__name__}: {error}") from error


@dataclass(slots=True)
class BufferPart:
    """Raw memory that lives in a descriptor; its views stay valid, and show the memory that arrived."""

    name: str
    buffer: Buffer
    codec: str = "buffer"
    version: int = 1
    versions: frozenset[int] = field(default_factory=lambda: frozenset({1}))
    is_live: bool = True

    def export(self) -> tuple[int, Manifest]:
        manifest = Manifest(self.name, self.codec, self.version, self.buffer.size, is_live=True)
        return os.dup(self.buffer.fd), manifest

    def prepare(self, fd: int) -> None:
        self._check_size(fd)
        self.buffer.borrow(fd)

    def content(self, fd: int) -> memoryview:
        """By the mapping that is there, whose pages are present."""
        return self.buffer.view if self.buffer.shows(fd) else memory.content(fd)

    def take(self, fd: int, data: memoryview) -> PutInPlace:
        self._check_size(fd)
        return partial(self.buffer.adopt, fd)

    def settle(self) -> None:
        self.buffer.give_back()

    def _check_size(self, fd: int) -> None:
        if (size := memory.size_of(fd)) != self.buffer.size:
            raise LoadError(f"part {self.name!r}: it has {size} bytes, and this code declares {self.buffer.size}")


class Buffer:
    """A piece of memory of a fixed size that moves to the next generation without being copied.

    Its address never changes: the memory of the predecessor is mapped in place of its own, so that every view of it
    (a memoryview, a numpy array) shows what arrived. While it is only *borrowed*, because its owner still serves, it
    cannot be written to: a process that tries is killed by the system (SIGSEGV), and its predecessor keeps its memory.
    """

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self.fd = memory.create(name, size)
        memory.seal(self.fd, memory.SIZE_SEALS)
        self._shown = memory.identity(self.fd)
        self._mapped = memory.reserve(size)
        memory.map_over(self._mapped, self.fd, is_writable=True, populates=False)

    @property
    def view(self) -> memoryview:
        """The memory, for reading and writing."""
        return memoryview(self._mapped)

    def __len__(self) -> int:
        return self.size

    def shows(self, fd: int) -> bool:
        """Whether the views show this memory."""
        return memory.identity(fd) == self._shown

    def borrow(self, fd: int) -> None:
        """Show this memory, which another process still owns; its own is kept. Raises `OSError`."""
        if not self.shows(fd):
            memory.map_over(self._mapped, fd, is_writable=False, populates=True)
            self._shown = memory.identity(fd)

    def adopt(self, fd: int) -> None:
        """Own this memory from now on; the descriptor stays the caller's. Raises `OSError`."""
        if memory.identity(fd) == memory.identity(self.fd):
            self.give_back()
            return
        own = os.dup(fd)
        try:
            if self.shows(own):
                memory.protect(self._mapped, is_writable=True)
            else:
                memory.map_over(self._mapped, own, is_writable=True, populates=True)
        except OSError:
            os.close(own)
            raise
        before, self.fd = self.fd, own
        self._shown = memory.identity(own)
        os.close(before)

    def give_back(self) -> None:
        """Show its own memory again. Raises `OSError`."""
        if not self.shows(self.fd):
            memory.map_over(self._mapped, self.fd, is_writable=True, populates=False)
            self._shown = memory.identity(self.fd)


# --- codecs ----------------------------------------------------------------------------------------------------------


def codec_of_hooks(dump: Callable[[Any], bytes], load: Callable[[Any, bytes], None]) -> Codec:
    """The codec made of an application's two functions; ``load`` fills the object in place."""
    return Codec(dump, lambda value, data: partial(load, value, bytes(data)))


def filling(value: Any, loaded: Any) -> PutInPlace:
    """What makes ``value`` equal to ``loaded`` without replacing it. Raises `LoadError` if they are of other kinds."""
    match value:
        case dict() if isinstance(loaded, dict):
            return partial(_refill, value, loaded)
        case list() | bytearray() if isinstance(loaded, (list, memoryview)):
            return partial(value.__setitem__, slice(None), loaded)
        case set() if isinstance(loaded, list):
            # A set holds no lists, so what looks like one was a tuple.
            return partial(_refill, value, {tuple(each) if isinstance(each, list) else each for each in loaded})
        case _:
            raise LoadError(f"a {type(loaded).__name__} cannot be filled into a {type(value).__name__}")


def _refill(value: Any, loaded: Any) -> None:
    value.clear()
    value.update(loaded)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, set) else value


def _dump_json(value: Any) -> bytes:
    if isinstance(value, dict) and (odd := next((key for key in value if not isinstance(key, str)), None)) is not None:
        raise DumpError(f"JSON would turn the key {odd!r} into a string: use str keys, or codec='msgpack'")
    return json.dumps(_listed(value), separators=(",", ":")).encode()


def _take_json(value: Any, data: memoryview) -> PutInPlace:
    return filling(value, json.loads(str(data, "utf-8")))


def _dump_msgpack(value: Any) -> bytes:
    import msgspec

    return msgspec.msgpack.encode(_listed(value))


def _take_msgpack(value: Any, data: memoryview) -> PutInPlace:
    import msgspec

    return filling(value, msgspec.msgpack.decode(data))


def _dump_raw(value: Any) -> memory.Data:
    return memoryview(value)


CODECS: dict[str, Codec] = {
    "json": Codec(_dump_json, _take_json),
    "msgpack": Codec(_dump_msgpack, _take_msgpack),
    "raw": Codec(_dump_raw, filling),
}
