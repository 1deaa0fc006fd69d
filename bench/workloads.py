"""The workloads: what each is called, how big it is, and which systems it is for.

Sizes differ between the systems where one is so much faster that a size good for both would take minutes on the slower
or milliseconds on the faster; every figure is per step, per run or a total of equal work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bench.child import System


class Procedure(Enum):
    """How the parent goes about it; see procedures.py."""

    THROUGHPUT = "throughput"
    ONE_PROCESS = "one process"
    GROWTH = "growth"
    RECOVERY = "recovery"
    COLD_START = "cold start"


@dataclass(frozen=True, slots=True)
class Size:
    """How much work: see the workload in child_main.py for what each number means there."""

    runs: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing to measure. ``work``: the function of child_main.py. A system without a size does not take part."""

    name: str
    title: str
    procedure: Procedure
    work: str
    full: dict[System, Size]
    quick: dict[System, Size]
    in_flight: int = 0
    level: str = "state-action-log"


def both(aeterna: Size, dbos: Size | None = None) -> dict[System, Size]:
    """The sizes for each system; the same for both if only one is given."""
    return {System.AETERNA: aeterna, System.DBOS: dbos or aeterna}


def only_aeterna(size: Size) -> dict[System, Size]:
    """For what DBOS does not do, or not in reasonable time."""
    return {System.AETERNA: size}


LEVEL_TITLES = {"memory": "L0 memory", "snapshot": "L1 snapshot"}


def _levels() -> list[Workload]:
    """The throughput workload again on the two weaker levels of Aeterna."""
    sizes = {1: Size(2_000), 50: Size(10_000)}
    return [
        Workload(
            name=f"noop-{in_flight}-{level}",
            title=f"noop-10, {in_flight} in flight, {LEVEL_TITLES[level]}",
            procedure=Procedure.THROUGHPUT,
            work="noop",
            full=only_aeterna(sizes[in_flight]),
            quick=only_aeterna(Size(sizes[in_flight].runs // 10)),
            in_flight=in_flight,
            level=level,
        )
        for level in ("snapshot", "memory")
        for in_flight in (1, 50)
    ]


WORKLOADS: tuple[Workload, ...] = (
    Workload(
        "noop-1", "noop-10, 1 in flight", Procedure.THROUGHPUT, "noop",
        both(Size(1_000), Size(200)), both(Size(100), Size(20)), in_flight=1,
    ),
    Workload(
        "noop-50", "noop-10, 50 in flight", Procedure.THROUGHPUT, "noop",
        both(Size(10_000), Size(400)), both(Size(1_000), Size(100)), in_flight=50,
    ),
    Workload(
        "start", "start to result, 1 step", Procedure.ONE_PROCESS, "start",
        both(Size(2_000), Size(500)), both(Size(200), Size(50)),
    ),
    Workload(
        "fan-out", "fan-out of parallel steps", Procedure.ONE_PROCESS, "fan_out",
        both(Size(5, 1_000), Size(3, 1_000)), both(Size(1, 200)),
    ),
    Workload(
        "growth", "growth, one long run", Procedure.GROWTH, "growth",
        both(Size(steps=5_000)), both(Size(steps=600)),
    ),
    Workload(
        "long", "one very long run", Procedure.ONE_PROCESS, "long",
        only_aeterna(Size(steps=100_000)), only_aeterna(Size(steps=5_000)),
    ),
    Workload(
        "recovery", "recovery, runs killed half-way", Procedure.RECOVERY, "recovery",
        both(Size(200, 5)), both(Size(40, 5)),
    ),
    Workload("footprint", "idle process", Procedure.ONE_PROCESS, "footprint", both(Size()), both(Size())),
    Workload("cold-start", "spawn to first result", Procedure.COLD_START, "cold_start", both(Size()), both(Size())),
    *_levels(),
)  # fmt: skip
