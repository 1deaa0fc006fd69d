"""How an engine works."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeterna.durable.engine.durability import Durability
from aeterna.kernel.clock import Clock, SystemClock
from aeterna.kernel.limits import Limits


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine works; every field has a sensible default.

    ``retention_us``: finished runs older than this are deleted; None = kept. ``stop_grace_s``: how long
    `Engine.stop` waits for steps that do not end when they are cancelled.
    """

    durability: Durability = field(default_factory=Durability)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=SystemClock)
    retention_us: int | None = None
    retention_check_s: float = 60.0
    stop_grace_s: float = 10.0
