"""How a coordinator works."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeterna.kernel.limits import Limits


@dataclass(frozen=True, slots=True)
class CoordinatorOptions:
    """``lease_us``: of the server's own sessions, and of workers that do not say theirs. ``lease_us_max``: the longest
    that a worker may ask for. ``look_s``: how often a store is looked at for what no notice told. ``crash_limit``: a
    run in whose hands so many workers died in a row is left alone. ``namespaces_max``: how many may be open.
    ``retention_us``: runs that ended so long ago are deleted, None = none are; it is looked for every
    ``retention_check_s``."""

    lease_us: int = 10_000_000
    lease_us_max: int = 600_000_000
    look_s: float = 1.0
    crash_limit: int = 10
    namespaces_max: int = 1_000
    retention_us: int | None = None
    retention_check_s: float = 60.0
    limits: Limits = field(default_factory=Limits)
