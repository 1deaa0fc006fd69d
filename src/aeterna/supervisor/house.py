"""What all services of one supervisor share, handed to each of them as one record."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeterna.kernel.clock import Clock
from aeterna.supervisor.host.keeping import Keeping
from aeterna.supervisor.host.limits import Groups
from aeterna.supervisor.host.log_book import LogBook
from aeterna.supervisor.host.logs import Level
from aeterna.supervisor.metrics import Metrics
from aeterna.supervisor.reports import Reports


@dataclass(frozen=True, slots=True)
class House:
    """``directory``: where the sockets are; ``environ``: from which services' environments are made; ``groups``: where
    control groups for instances are made, if they can be.

    ``emit``: one event for those who follow, with its kind and data; ``save``: write down where everything stands,
    soon; ``saved``: the same, and return when it is safe; ``reload_queued``: the service of this name can do now what
    it was asked before; ``settled``: some service has ended.
    """

    clock: Clock
    keeping: Keeping
    logs: LogBook
    metrics: Metrics
    reports: Reports
    chance: random.Random
    directory: Path
    environ: Mapping[str, str]
    groups: Groups | None
    emit: Callable[[str, dict[str, Any]], None]
    save: Callable[[], None]
    saved: Callable[[], Awaitable[None]]
    reload_queued: Callable[[str], None]
    settled: Callable[[], None]

    def say(self, text: str, service: str = "", generation: int = 0, level: Level = Level.INFO) -> None:
        """Something for people to read, in the log."""
        self.logs.say(level, text, service, generation)

    def now_ms(self) -> int:
        """Monotonic time in milliseconds."""
        return self.clock.monotonic_us() // 1000
