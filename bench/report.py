"""From the metrics of all rounds to medians, the table on standard output, and the JSON file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.child import System
from bench.machine import Machine
from bench.targets import ROWS, Row, Rule, Target, advantage, is_met
from bench.workloads import WORKLOADS

Rounds = dict[str, dict[System, list[dict[str, Any]]]]
"""Workload name -> system -> the metrics of each round."""


@dataclass(frozen=True, slots=True)
class Result:
    """One row with its figures: the medians over the rounds."""

    row: Row
    aeterna: float | None
    dbos: float | None
    ratio: float | None
    met: bool | None


def results(rounds: Rounds, judged: bool) -> list[Result]:
    """One result for each row that was measured. ``judged`` False leaves the verdicts open (sizes too small)."""
    found = []
    for row in ROWS:
        systems = rounds.get(row.workload, {})
        aeterna = _median(systems.get(System.AETERNA, []), row.metric)
        dbos = _median(systems.get(System.DBOS, []), row.metric)
        if aeterna is None and dbos is None:
            continue
        is_amount = row.unit not in ("", "x")
        ratio = advantage(row, aeterna, dbos) if is_amount and aeterna is not None and dbos is not None else None
        met = is_met(row, aeterna, dbos) if judged and aeterna is not None else None
        found.append(Result(row, aeterna, dbos, ratio, met))
    return found


def _median(rounds: Sequence[dict[str, Any]], metric: str) -> float | None:
    values = [metrics[metric] for metrics in rounds if metric in metrics]
    return statistics.median(values) if values else None


def durability_lines(rounds: Rounds) -> list[str]:
    """Journal and sync mode of each system, as its own connections answered during the throughput workloads."""
    lines = []
    for workload in WORKLOADS:
        for system, metrics in rounds.get(workload.name, {}).items():
            modes = {(each["journal_mode"], each["synchronous"]) for each in metrics if "journal_mode" in each}
            for journal_mode, synchronous in sorted(modes):
                title = f"{system.name.capitalize()}, {workload.name}"
                lines.append(f"  {title:<28} journal_mode={journal_mode} synchronous={synchronous}")
    return lines


def table(found: Sequence[Result]) -> str:
    """The plain-text table."""
    titles = {workload.name: workload.title for workload in WORKLOADS}
    head = ("workload", "figure", "Aeterna", "DBOS", "ratio", "target", "met?")
    lines = [head]
    previous = ""
    for result in found:
        title = titles[result.row.workload]
        lines.append(("" if title == previous else title, *_cells(result)))
        previous = title
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rows = ["  ".join(_aligned(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
            for line in lines]  # fmt: skip
    rows.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(row.rstrip() for row in rows)


def _cells(result: Result) -> tuple[str, str, str, str, str, str]:
    row = result.row
    ratio = "" if result.ratio is None else f"{result.ratio:,.1f}x"
    met = {True: "yes", False: "NO", None: ""}[result.met]
    return (
        f"{row.title}, {row.unit}" if row.unit else row.title,
        number(result.aeterna),
        number(result.dbos),
        ratio,
        _target_text(row.target),
        met,
    )


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column in (0, 1, 6) else cell.rjust(width)


def number(value: float | None) -> str:
    """Three significant digits, and no more decimals than they need."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _target_text(target: Target | None) -> str:
    if target is None:
        return ""
    if target.rule is Rule.TIMES_BETTER_THAN_DBOS:
        return f">= {target.bound:g}x"
    return f"{target.rule.value} {target.bound:,g}"


def write_json(path: Path, machine: Machine, settings: dict[str, Any], rounds: Rounds, found: Sequence[Result]) -> None:
    """Everything: machine, settings, each row with its target and verdict, and the raw metrics of every round."""
    document = {
        "machine": asdict(machine),
        "settings": settings,
        "results": [_as_json(result) for result in found],
        "rounds": {
            name: {system.name.lower(): metrics for system, metrics in systems.items()}
            for name, systems in rounds.items()
        },
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _as_json(result: Result) -> dict[str, Any]:
    row = result.row
    target = row.target
    return {
        "workload": row.workload,
        "metric": row.metric,
        "title": row.title,
        "unit": row.unit,
        "better": row.better.value,
        "aeterna": result.aeterna,
        "dbos": result.dbos,
        "times_better": result.ratio,
        "target": None if target is None else {"rule": target.rule.value, "bound": target.bound, "quote": target.quote},
        "met": result.met,
    }
