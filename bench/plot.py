"""A picture of the ratios: one bar per figure that both systems have, logarithmic, as SVG without any library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from bench.report import Result, number
from bench.targets import Rule
from bench.workloads import WORKLOADS

LABEL_WIDTH, CHART_WIDTH, VALUE_WIDTH, LINE_HEIGHT, TOP = 390, 380, 250, 24, 56
BETTER, WORSE, MARK = "#2f7d5b", "#b3463c", "#333333"


def write_svg(path: Path, found: Sequence[Result]) -> None:
    """Draw how many times better than DBOS each figure is; a mark shows the target where it is relative."""
    both = [result for result in found if result.ratio]
    top_decade = max([1, *(math.ceil(abs(math.log10(result.ratio or 1))) for result in both)])
    width, height = LABEL_WIDTH + CHART_WIDTH + VALUE_WIDTH, TOP + LINE_HEIGHT * len(both) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="12" y="24" font-size="16">Aeterna against DBOS: how many times better (logarithmic)</text>',
        *_grid(top_decade, height),
        *(part for line, result in enumerate(both) for part in _bar(line, result, top_decade)),
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n")


def _x(ratio: float, top_decade: int) -> float:
    """The worse half is a quarter of the chart: 1x lies there."""
    share = math.log10(ratio) / top_decade
    return LABEL_WIDTH + CHART_WIDTH * (0.25 + 0.75 * max(share, -1 / 3))


def _grid(top_decade: int, height: int) -> list[str]:
    parts = []
    for decade in range(top_decade + 1):
        x = _x(10**decade, top_decade)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 12}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP - 12}" text-anchor="middle" fill="#777777">{10**decade:,}x</text>')
    return parts


def _bar(line: int, result: Result, top_decade: int) -> list[str]:
    ratio = result.ratio or 1.0
    y = TOP + LINE_HEIGHT * line
    one, end = _x(1, top_decade), _x(ratio, top_decade)
    title = next(workload.title for workload in WORKLOADS if workload.name == result.row.workload)
    label = escape(f"{title}: {result.row.title}")
    figures = escape(f"{number(result.aeterna)} / {number(result.dbos)} {result.row.unit}")
    colour = BETTER if ratio >= 1 else WORSE
    parts = [
        f'<text x="{LABEL_WIDTH - 8}" y="{y + 14}" text-anchor="end">{label}</text>',
        f'<rect x="{min(one, end):.1f}" y="{y + 3}" width="{max(abs(end - one), 1):.1f}" height="15" fill="{colour}"/>',
        f'<text x="{LABEL_WIDTH + CHART_WIDTH + 10}" y="{y + 14}">{ratio:,.1f}x ({figures})</text>',
    ]
    target = result.row.target
    if target is not None and target.rule is Rule.TIMES_BETTER_THAN_DBOS:
        x = _x(target.bound, top_decade)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 21}" stroke="{MARK}" stroke-width="2"/>')
    return parts
