"""One service of a configuration, while its record is built: its keys, where each was written, and the findings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from aeterna.config.findings import Findings
from aeterna.config.mistakes import KeyPath
from aeterna.config.schema import SERVICE_KEYS, Service


class Part(NamedTuple):
    """``keys``: what was written, the keys at the top level among them; ``base``: the path of the service."""

    name: str
    keys: Service
    base: KeyPath
    directory: Path
    findings: Findings

    def at(self, *path: str | int) -> KeyPath:
        """Where a key of the service stands: with `service:`, some stand at the top level."""
        is_top = self.base == ("service",) and path[:1] != () and path[0] in SERVICE_KEYS
        if is_top and not self.findings.has((*self.base, path[0])):
            return path
        return (*self.base, *path)

    def has(self, *path: str | int) -> bool:
        """Whether that key was written."""
        return self.findings.has(self.at(*path))

    def mistake(self, path: tuple[str | int, ...], wrong: str, right: str) -> None:
        """The key of this service cannot be what it is."""
        self.findings.mistake(self.at(*path), wrong, right)

    def warn(self, path: tuple[str | int, ...], text: str) -> None:
        """People should know something about a key of this service."""
        self.findings.warn(self.at(*path), text)

    def absolute(self, path: str) -> str:
        """A path that is relative to the configuration's directory."""
        return os.path.normpath(self.directory / path)
