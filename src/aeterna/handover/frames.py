"""SRP frames: bytes to frames and back. Knows no socket and no meaning.

A frame is ``length u32, magic u32, version u8, type u8, flags u16, payload``, big-endian; ``length`` counts the bytes
after itself. Whatever is fed in, a decoder gives out whole frames or raises `FrameError`; it never holds more than one
frame of at most ``payload_bytes_max``.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum
from typing import Any

MAGIC = 0xAE7E2024
VERSION = 1
HEADER = struct.Struct(">IIBBH")
HEADER_BYTES = HEADER.size
CHUNK_BYTES_MAX = 1024 * 1024
"""The largest payload: what is more is sent in several chunks, or as a memory with a descriptor."""


class Kind(IntEnum):
    """The type of a frame."""

    HELLO = 0x01
    STATE_JSON = 0x02
    STATE_BINARY = 0x03
    REQUEST = 0x10
    PRECOPY = 0x11
    QUIESCE = 0x12
    QUIESCED = 0x13
    BUSY = 0x14
    PART = 0x20
    CHUNK = 0x21
    END = 0x22
    RESTORE = 0x30
    RESTORED = 0x31
    NACK = 0x32
    ACCEPT = 0x40
    ACCEPTING = 0x41
    STANDBY = 0x42
    RESUME = 0x43
    RESUMED = 0x44
    LEASE = 0x45
    DRAIN = 0x50
    DRAINED = 0x51
    RELEASE = 0x60
    PING = 0x70
    PONG = 0x71
    STATUS = 0x72
    ACK = 0xFF


BULK = frozenset({Kind.CHUNK, Kind.STATE_JSON, Kind.STATE_BINARY})
"""Frames whose payload is state; that of all others is a JSON object which says what is meant."""


class Flags(IntFlag):
    """Bits of a frame's flags."""

    NONE = 0
    OPTIONAL = 1
    """Who does not know the type may ignore the frame."""
    HAS_FD = 2
    """A descriptor travels with the first byte of the frame."""


class FrameFault(StrEnum):
    """What is wrong with what a peer sent."""

    BAD_MAGIC = "bad magic"
    BAD_VERSION = "unknown version"
    TOO_SHORT = "length too small"
    TOO_LONG = "length over the limit"
    NOT_JSON = "payload is no JSON object"
    STRAY_FD = "a descriptor came without a frame that announces it"


class FrameError(ValueError):
    """The peer does not speak SRP. ``fault`` says in what way."""

    def __init__(self, fault: FrameFault, detail: str = "") -> None:
        super().__init__(f"{fault}: {detail}" if detail else str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``kind`` is a `Kind` where it is known."""

    kind: int
    payload: bytes = b""
    flags: int = 0

    @property
    def is_optional(self) -> bool:
        return bool(self.flags & Flags.OPTIONAL)

    def json(self) -> dict[str, Any]:
        """The payload as an object; an empty payload is an empty one. Raises `FrameError`."""
        if not self.payload:
            return {}
        try:
            found = json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise FrameError(FrameFault.NOT_JSON, str(error)) from error
        if not isinstance(found, dict):
            raise FrameError(FrameFault.NOT_JSON, f"it is a {type(found).__name__}")
        return found


def encode(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """The bytes of a frame."""
    return HEADER.pack(HEADER_BYTES - 4 + len(payload), MAGIC, VERSION, kind, flags) + payload


def encode_json(kind: int, body: dict[str, Any], flags: int = 0) -> bytes:
    """The bytes of a frame with a JSON payload."""
    return encode(kind, json.dumps(body, separators=(",", ":")).encode(), flags)


class Decoder:
    """Feed it bytes as they come, take frames out. After a `FrameError` the connection is of no use any more."""

    def __init__(self, payload_bytes_max: int = CHUNK_BYTES_MAX) -> None:
        self._max = payload_bytes_max
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether no frame has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises `FrameError`, as soon as the header shows it."""
        self._buffer += data
        frames = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        return frames

    def _take(self) -> Frame | None:
        if len(self._buffer) < HEADER_BYTES:
            return None
        length, magic, version, kind, flags = HEADER.unpack_from(self._buffer)
        if magic != MAGIC:
            raise FrameError(FrameFault.BAD_MAGIC, f"0x{magic:08x} instead of 0x{MAGIC:08x}")
        if version != VERSION:
            raise FrameError(FrameFault.BAD_VERSION, str(version))
        payload_bytes = length - (HEADER_BYTES - 4)
        if payload_bytes < 0:
            raise FrameError(FrameFault.TOO_SHORT, str(length))
        if payload_bytes > self._max:
            raise FrameError(FrameFault.TOO_LONG, f"{payload_bytes} bytes, at most {self._max} are taken")
        end = HEADER_BYTES + payload_bytes
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as whole:
            payload = bytes(whole[HEADER_BYTES:end])
        del self._buffer[:end]
        return Frame(kind, payload, flags)
