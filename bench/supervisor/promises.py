"""What Aeterna's figures have to be, in the words of its promises; judged on the medians of a full run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Medians = dict[str, dict[str, dict[str, Any]]]
"""Workload -> system -> the medians of its metrics."""


@dataclass(frozen=True, slots=True)
class Promise:
    """``bound`` gives the most that the figure may be; None where what it is compared with was not measured."""

    workload: str
    system: str
    metric: str
    quote: str
    bound: Callable[[Medians], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise held against what was measured."""

    promise: Promise
    value: float
    bound: float

    @property
    def kept(self) -> bool:
        """A figure that is missing (NaN) keeps nothing."""
        return self.value <= self.bound


def _at_most(bound: float) -> Callable[[Medians], float | None]:
    return lambda found: bound


def _of(found: Medians, workload: str, system: str, metric: str) -> float | None:
    value = found.get(workload, {}).get(system, {}).get(metric)
    return value if isinstance(value, int | float) and not math.isnan(value) else None


def _near_steady(system: str) -> Callable[[Medians], float | None]:
    def bound(found: Medians) -> float | None:
        steady_ms = _of(found, "reload", system, "steady_p99_ms")
        return None if steady_ms is None else max(steady_ms * 1.5, steady_ms + 2)

    return bound


def _start_of_the_bare_application(found: Medians) -> float | None:
    start_ms = _of(found, "start-up", "bare", "start_p50_ms")
    return None if start_ms is None else start_ms + 150


def _about_reloads(system: str) -> tuple[Promise, ...]:
    return (
        Promise("reload", system, "failed", "0 refused, reset or failed requests", _at_most(0)),
        Promise("reload", system, "gap_ms", "no gap over 20 ms", _at_most(20)),
        Promise("reload", system, "around_p99_ms", "p99 at most 1.5x steady state or + 2 ms", _near_steady(system)),
    )


PROMISES: tuple[Promise, ...] = (
    *_about_reloads("aeterna"),
    Promise("reload", "aeterna", "new_after_ms", "reload to new code: the bare application's start + 150 ms",
            _start_of_the_bare_application),
    Promise("reload-closed", "aeterna", "failed", "0 failed requests of keep-alive clients with run-asgi", _at_most(0)),
    Promise("broken-import", "aeterna", "failed", "a broken release: the old generation goes on serving", _at_most(0)),
    Promise("broken-import", "aeterna-canary", "failed", "a broken release: the old generation goes on serving",
            _at_most(0)),
    Promise("restart", "aeterna", "restart_p95_ms", "kill -9 of a child: a new one in under 5 ms p95", _at_most(5)),
    Promise("leftovers", "aeterna", "left", "after stop nothing is left", _at_most(0)),
    Promise("handover", "aeterna", "pause_p99_ms_value_1", "pause under 5 ms for 1 MiB that is copied", _at_most(5)),
    Promise("handover", "aeterna", "pause_p99_ms_buffer_100", "pause at most 20 ms p99 for 100 MiB", _at_most(20)),
    Promise("handover", "aeterna", "pause_p99_ms_buffer_1024", "pause at most 150 ms p99 for 1 GiB", _at_most(150)),
)  # fmt: skip


def verdicts(found: Medians) -> list[Verdict]:
    """Every promise whose workload was measured."""
    judged = []
    for promise in PROMISES:
        metrics = found.get(promise.workload, {}).get(promise.system)
        bound = None if metrics is None else promise.bound(found)
        if metrics is not None and bound is not None:
            judged.append(Verdict(promise, float(metrics.get(promise.metric, math.nan)), bound))
    return judged
