"""From the metrics of all rounds to medians, tables and the JSON file."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.report import number
from bench.supervisor.promises import Medians, Verdict
from bench.supervisor.workloads import WORKLOADS, Column, Workload

Rounds = dict[str, dict[str, list[dict[str, Any]]]]
"""Workload -> system -> the metrics of each round."""
REFERENCE = "aeterna"


def medians(rounds: Rounds) -> Medians:
    """The median over the rounds of every metric that is a number."""
    return {
        workload: {system: _median_metrics(each) for system, each in systems.items()}
        for workload, systems in rounds.items()
    }


def _median_metrics(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for name in {name for metrics in rounds for name in metrics}:
        values = [metrics[name] for metrics in rounds if isinstance(metrics.get(name), int | float)]
        seen = [value for value in values if not math.isnan(value)]
        if values:
            found[name] = statistics.median(seen) if seen else math.nan
    return found


def tables(found: Medians) -> str:
    """One table for each workload that was measured."""
    return "\n\n".join(_table(each, found[each.name]) for each in WORKLOADS if found.get(each.name))


def _table(workload: Workload, systems: dict[str, dict[str, Any]]) -> str:
    columns = [column for column in workload.columns if any(column.metric in metrics for metrics in systems.values())]
    lines = [("system", *(column.title for column in columns))]
    for system, metrics in systems.items():
        lines.append((system, *(_cell(column, metrics, systems.get(REFERENCE, {})) for column in columns)))
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    rows = ["  ".join(_aligned(line[place], width, place) for place, width in enumerate(widths)) for line in lines]
    rows.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([f"{workload.name}: {workload.title}", *(row.rstrip() for row in rows)])


def _aligned(cell: str, width: int, place: int) -> str:
    return cell.rjust(width) if place else cell.ljust(width)


def _cell(column: Column, metrics: dict[str, Any], reference: dict[str, Any]) -> str:
    value = metrics.get(column.metric)
    if value is None or math.isnan(value):
        return "-"
    base = reference.get(column.metric) if column.compared and value and metrics is not reference else None
    ratio = f" ({number(value / base)}x)" if base and not math.isnan(base) else ""
    return f"{_figure(value)}{ratio}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else number(value)


def verdict_lines(judged: Sequence[Verdict]) -> list[str]:
    """The promises, each with its figure and bound."""
    return [
        f"{'kept  ' if each.kept else 'MISSED'}  {each.promise.workload}, {each.promise.system}: {each.promise.metric} "
        f"{_figure(each.value)} (at most {_figure(each.bound)}): {each.promise.quote}"
        for each in judged
    ]


def write_json(path: Path, machine: Any, settings: dict[str, Any], rounds: Rounds, judged: Sequence[Verdict]) -> None:
    """Everything: machine, settings, the medians, the verdicts, and the raw metrics of every round."""
    document = {
        "machine": asdict(machine),
        "settings": settings,
        "medians": medians(rounds),
        "promises": [
            {"workload": each.promise.workload, "system": each.promise.system, "metric": each.promise.metric,
             "quote": each.promise.quote, "value": each.value, "bound": each.bound, "kept": each.kept}
            for each in judged
        ],
        "rounds": rounds,
    }  # fmt: skip
    path.write_text(json.dumps(_without_nan(document), indent=2) + "\n")


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: a figure that was not seen is null."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _without_nan(each) for key, each in value.items()}
        case list() | tuple():
            return [_without_nan(each) for each in value]
        case _:
            return value
