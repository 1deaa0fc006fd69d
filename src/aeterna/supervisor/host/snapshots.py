"""The memory of a generation, as the supervisor holds it: sealed memories by name, and what is said of them.

The supervisor never looks into them. A snapshot can be deposited with the keeper and taken back by another daemon.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class StatePart:
    """One part. ``fd`` is owned by the snapshot; ``is_live``: it is the memory itself, not a copy.

    ``digest`` is empty until it is known, and for live memory that may have changed since.
    """

    name: str
    codec: str
    version: int
    size: int
    is_live: bool
    fd: int
    digest: str = ""

    def plain(self) -> dict[str, Any]:
        """What is told of it on the wire and in the record."""
        return {
            "part": self.name,
            "codec": self.codec,
            "version": self.version,
            "bytes": self.size,
            "live": self.is_live,
        }


@dataclass(slots=True)
class Snapshot:
    """All parts of one generation's memory. ``receiver``: the peer that has been sent all of them already."""

    generation: int
    algorithm: str
    parts: dict[str, StatePart] = field(default_factory=dict)
    receiver: object = None

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(part.size for part in self.parts.values())

    @property
    def digests(self) -> dict[str, str]:
        return {name: part.digest for name, part in self.parts.items()}

    def fds(self) -> dict[str, int]:
        """The descriptors by part; they stay the snapshot's."""
        return {name: part.fd for name, part in self.parts.items()}

    def was_left(self) -> None:
        """Its owner has gone on without giving it away: live memory is no longer what its digest says."""
        for part in self.parts.values():
            if part.is_live:
                part.digest = ""

    def manifest(self) -> dict[str, Any]:
        """Everything but the descriptors, as JSON has it."""
        return {
            "generation": self.generation,
            "algorithm": self.algorithm,
            "parts": [{**part.plain(), "digest": part.digest} for part in self.parts.values()],
        }

    @classmethod
    def adopt(cls, manifest: Mapping[str, Any], fds: Mapping[str, int]) -> Snapshot:
        """The snapshot that was deposited; takes the descriptors. A part whose descriptor is missing is left out."""
        parts = {
            each["part"]: StatePart(
                name=each["part"],
                codec=each["codec"],
                version=each["version"],
                size=each["bytes"],
                is_live=each["live"],
                fd=fds[each["part"]],
                digest=each["digest"],
            )
            for each in manifest["parts"]
            if each["part"] in fds
        }
        return cls(manifest["generation"], manifest["algorithm"], parts)

    def close(self) -> None:
        """Let the memory go. Idempotent."""
        for part in self.parts.values():
            with suppress(OSError):
                os.close(part.fd)
        self.parts.clear()
