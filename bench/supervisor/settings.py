"""How much of everything: the sizes of a full run and of a quick one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remembered:
    """Memory of an application: a ``buffer`` changes hands, a ``value`` is copied."""

    kind: str
    mebibytes: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes. Times are in seconds; ``reload_spacing_s`` is the least from one reload to the next."""

    reloads: int = 10
    closed_reloads: int = 5
    rate_per_s: float = 500.0
    closed_clients: int = 32
    steady_s: float = 5.0
    reload_spacing_s: float = 4.0
    kills: int = 20
    starts: int = 5
    broken_watch_s: float = 12.0
    broken_rate_per_s: float = 200.0
    plain: int = 40
    forking: int = 5
    daemonising: int = 5
    remembered: tuple[Remembered, ...] = (Remembered("value", 1), Remembered("buffer", 100), Remembered("buffer", 1024))
    handovers: int = 20


FULL = Settings()
QUICK = Settings(
    reloads=2, closed_reloads=2, steady_s=2.0, kills=3, starts=2, plain=8, forking=2, daemonising=2,
    remembered=(Remembered("value", 1), Remembered("buffer", 100)), handovers=3,
)  # fmt: skip
