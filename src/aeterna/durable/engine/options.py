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
    `Engine.stop` waits for steps that do not end when they are cancelled. ``tends_store``: fire the store's schedules
    and look after its queues; not where a server does that.

    Over a store that several processes share: ``lease_us``: how long the session lives without a renewal (None: as the
    server decides, else ten seconds), ``look_s``: how often the store is looked at for what no notice told,
    ``release_after_us``: how long a waiting run stays in memory, ``queues``: whose runs are taken over (None = all),
    ``capabilities``: those that runs may require of this process, ``worker_name``: what it is called in lists.
    """

    durability: Durability = field(default_factory=Durability)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=SystemClock)
    retention_us: int | None = None
    retention_check_s: float = 60.0
    stop_grace_s: float = 10.0
    lease_us: int | None = None
    look_s: float = 1.0
    release_after_us: int = 5_000_000
    queues: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()
    worker_name: str = ""
    tends_store: bool = True
