"""How much of everything: a full measurement and a quick one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """``runs``: per system, so that each takes some seconds; the others are explained where they are used."""

    aeterna_runs: int = 5_000
    restate_runs: int = 1_500
    dbos_runs: int = 300
    single_runs: int = 300
    starts: int = 500
    takeovers: int = 10
    sleepers: int = 1_000_000
    due_sleepers: int = 2_000
    idle_s: float = 20.0
    scaling_runs: int = 3_000


FULL = Sizes()
QUICK = Sizes(200, 100, 60, 20, 30, 2, 20_000, 200, 3.0, 200)
