"""The table, and whether the targets are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.report import number
from bench.server.workloads import TARGETS, WORKLOADS, Target

Figures = dict[str, dict[str, dict[str, Any]]]
"""Workload -> system -> metric -> median."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and the figure; ``times``: how many times that of the other system, where the target speaks of one."""

    target: Target
    figure: float
    times: float | None
    is_met: bool


def verdicts(figures: Figures) -> list[Verdict]:
    """For every target whose figures were measured. ``restate`` means its best setting."""
    found = []
    for target in TARGETS:
        systems = figures.get(target.workload, {})
        figure = systems.get(target.system, {}).get(target.metric)
        if figure is None:
            continue
        if not target.against:
            found.append(Verdict(target, figure, None, figure < target.bound))
            continue
        others = [values[target.metric] for name, values in systems.items() if name.startswith(target.against)]
        if others:
            times = figure / max(others)
            found.append(Verdict(target, figure, times, times >= target.bound))
    return found


def table(figures: Figures) -> str:
    """One block for each workload: systems as lines, metrics as columns."""
    lines = []
    for workload in WORKLOADS:
        systems = figures.get(workload.name, {})
        if systems:
            lines += ["", workload.title]
            width = max(map(len, systems))
            for system, metrics in systems.items():
                values = ", ".join(f"{name} {number(value)}" for name, value in metrics.items())
                lines.append(f"  {system:<{width}}  {values}")
    return "\n".join(lines)


def verdict_lines(found: Sequence[Verdict]) -> list[str]:
    """Each target in words."""
    lines = [""]
    for each in found:
        target = each.target
        wanted = f">= {target.bound:g}x {target.against}" if target.against else f"< {target.bound:g}"
        value = f"{each.times:.1f}x" if each.times is not None else number(each.figure)
        what = f"{target.workload}, {target.system}: {target.metric}"
        lines.append(f"  {'met ' if each.is_met else 'NOT '} {what:<70} {value:>8}  (target {wanted})")
    return lines
