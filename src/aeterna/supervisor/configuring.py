"""The configuration in force, and reading it anew: in a short-lived process, because checking it takes libraries that
the daemon does without."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from aeterna.config import spec
from aeterna.config.spec import Plan
from aeterna.kernel.errors import ConfigurationError

READ_TIMEOUT_S = 30.0


class Configuring:
    """Reads one configuration file. ``options``: further arguments for the reader, such as overrides."""

    def __init__(self, path: Path, plan: Plan, options: Sequence[str], environ: Mapping[str, str]) -> None:
        self._path = path
        self._options = tuple(options)
        self._environ = environ
        self._seen = self._signature()
        self.plan = plan

    async def fresh(self) -> Plan:
        """The plan as the file says now; raises `ConfigurationError` with every mistake in it, and keeps the old one.

        A file that has not changed is not read again: that would only make a reload slower.
        """
        signature = self._signature()
        if signature == self._seen:
            return self.plan
        self.plan = await self._read()
        self._seen = signature
        return self.plan

    async def _read(self) -> Plan:
        reader = [sys.executable, "-P", "-m", "aeterna.config", str(self._path), *self._options]
        process = await asyncio.create_subprocess_exec(
            *reader,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                output, errors = await process.communicate()
        except TimeoutError as error:
            process.kill()
            await process.communicate()
            raise ConfigurationError(f"{self._path} could not be read within {READ_TIMEOUT_S:.0f} s") from error
        if process.returncode != 0:
            raise ConfigurationError(errors.decode(errors="replace").strip() or f"cannot read {self._path}")
        try:
            return spec.decode(output)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"the reader of {self._path} did not give a plan: {error}") from error

    def _signature(self) -> tuple[tuple[int, ...], ...]:
        """What changes when one of the files does. An ``.env`` file beside the configuration belongs to it."""
        return tuple(_stat(path) for path in (self._path, self._path.parent / ".env"))


def _stat(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
