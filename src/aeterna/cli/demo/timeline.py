"""A picture of what happened, as an SVG file: executions as bars, kills as red lines, recorded steps as a curve.

Time runs to the right. Bars of one life have one colour and lie in as many rows as steps ran at the same time.
Below, the number of recorded steps over time: it stands still while a process starts and replays, and never
falls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from aeterna.cli.demo.execution_log import Execution
from aeterna.cli.demo.proof import Recorded

WIDTH = 1200
LEFT, RIGHT, TOP = 64, 40, 148
ROW_HEIGHT, BAR_HEIGHT = 26, 18
CURVE_HEIGHT = 130
LABEL_WIDTH, LABEL_HEIGHT, LEGEND_HEIGHT = 60, 20, 20
LETTER_WIDTH = 6.8
COLOURS = ("#2f6fb7", "#d98a1f", "#2e8b57", "#7d5bb0", "#b0527d", "#4f9ea8", "#8a7a3a")
KILL, INK, FAINT, GRID, CUT, CURVE = "#d0202e", "#1f2733", "#667085", "#e4e7ec", "#f6c9cc", "#43536b"
FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class LifeSpan:
    """One process of the worker; ``killed_by`` names the OS signal that ended it, if one did."""

    number: int
    pid: int
    started_us: int
    ended_us: int
    killed_by: str
    replayed: int
    executed: int


@dataclass(frozen=True, slots=True)
class Story:
    """What the picture shows; ``sleeps`` are the spans of durable timers. All times in microseconds since 1970."""

    title: str
    subtitle: str
    lives: Sequence[LifeSpan]
    executions: Sequence[Execution]
    recorded: Sequence[Recorded]
    sleeps: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class _Scale:
    start_us: int
    end_us: int

    def x(self, at_us: int) -> float:
        share = (at_us - self.start_us) / max(1, self.end_us - self.start_us)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def width(self, start_us: int, end_us: int) -> float:
        return max(1.0, self.x(end_us) - self.x(start_us))

    @property
    def seconds(self) -> float:
        return (self.end_us - self.start_us) / 1e6


def render(story: Story) -> str:
    """The SVG document, ready to be written to a file."""
    scale = _Scale(story.lives[0].started_us, max(life.ended_us for life in story.lives))
    rows = assign_rows(story.executions, {life.number: life.ended_us for life in story.lives})
    bottom = TOP + ROW_HEIGHT * (max(rows, default=0) + 1)
    labels = label_rows([scale.x(life.ended_us) for life in story.lives if life.killed_by])
    curve_top = bottom + 64 + LABEL_HEIGHT * (1 + max(labels, default=0))
    legend, shift = _legend(story)
    height = curve_top + CURVE_HEIGHT + 46 + shift
    parts = [
        *_head(story, height),
        *legend,
        f'<g transform="translate(0 {shift})">',
        *_axis(scale, TOP - 6, curve_top + CURVE_HEIGHT),
        *_start_spans(story, scale, bottom),
        *_bars(story, scale, rows),
        *_sleeps(story, scale, bottom),
        *_curve(story, scale, curve_top),
        *_life_labels(story, scale),
        *_kills(story, scale, labels, bottom, curve_top + CURVE_HEIGHT),
        _text(LEFT, bottom + 18, "each bar is one execution of a step", size=12, fill=FAINT),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(story: Story, height: int) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="{FONT}" role="img">'
    yield f"<title>{escape(story.title)}</title>"
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    yield _text(LEFT, 34, story.title, size=20, weight=600)
    yield _text(LEFT, 58, story.subtitle, size=13, fill=FAINT)


def assign_rows(executions: Sequence[Execution], life_ends_us: dict[int, int]) -> list[int]:
    """A row for each execution, in order: the topmost that is free when it starts. Rows are free again in a new
    life."""
    free_at: dict[tuple[int, int], int] = {}
    rows = []
    for execution in executions:
        row = 0
        while free_at.get((execution.life, row), 0) > execution.start_us:
            row += 1
        free_at[execution.life, row] = _end_of(execution, life_ends_us)
        rows.append(row)
    return rows


def label_rows(centres: Sequence[float]) -> list[int]:
    """A row for the label of each kill, from left to right: the topmost in which it touches no other."""
    ends: list[float] = []
    rows = []
    for x in centres:
        row = next((row for row, end in enumerate(ends) if end <= x - LABEL_WIDTH / 2), len(ends))
        ends[row : row + 1] = [x + LABEL_WIDTH / 2 + 4]
        rows.append(row)
    return rows


def _end_of(execution: Execution, life_ends_us: dict[int, int]) -> int:
    return life_ends_us[execution.life] if execution.end_us is None else execution.end_us


def colour_of(life: int) -> str:
    """The colour of a life; they repeat after the last."""
    return COLOURS[(life - 1) % len(COLOURS)]


def _text(
    x: float, y: float, text: str, *, size: int = 12, fill: str = INK, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _box(x: float, y: float, width: float, height: float, fill: str, title: str = "", more: str = "") -> str:
    shape = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{more}'
    return f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>"


def _legend(story: Story) -> tuple[list[str], int]:
    """The legend, in as many rows as it needs, and how far it pushes down what is below it."""
    entries = [(colour_of(life.number), f"process {life.number}") for life in story.lives]
    entries += [
        (CUT, "cut off by the kill"),
        ("url(#wait)", "process starts and replays"),
        ("#e9edf3", "durable sleep"),
    ]
    hatching = (
        '<defs><pattern id="wait" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" fill="#f5f6f8"/><rect width="2" height="6" fill="#ccd2db"/></pattern></defs>'
    )
    parts = [hatching]
    x, shift = float(LEFT), 0
    for fill, label in entries:
        width = 20 + LETTER_WIDTH * len(label)
        if x + width > WIDTH - RIGHT:
            x, shift = float(LEFT), shift + LEGEND_HEIGHT
        outline = f' rx="2" stroke={quoteattr(KILL if fill == CUT else "#c3cad5")} stroke-width="0.8"'
        parts += [_box(x, 74 + shift, 14, 12, fill, more=outline), _text(x + 20, 84.5 + shift, label, size=12)]
        x += width + 22
    return parts, shift


def _axis(scale: _Scale, top: float, bottom: float) -> Iterator[str]:
    tick_s = next(step for step in (0.5, 1, 2, 5, 10, 20, 60, 300, 3600) if scale.seconds / step <= 16 or step == 3600)
    count = int(scale.seconds / tick_s)
    for number in range(count + 1):
        x = scale.x(scale.start_us + round(number * tick_s * 1e6))
        yield f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{GRID}"/>'
        yield _text(x, bottom + 18, f"{number * tick_s:g}", fill=FAINT, anchor="middle")
    yield _text(WIDTH - RIGHT, bottom + 36, "seconds since the first process started", fill=FAINT, anchor="end")


def _start_spans(story: Story, scale: _Scale, bottom: float) -> Iterator[str]:
    for life in story.lives:
        first_us = min((e.start_us for e in story.executions if e.life == life.number), default=life.ended_us)
        wait_ms = (first_us - life.started_us) / 1000
        title = f"process {life.number} starts and replays {life.replayed} steps: {wait_ms:.0f} ms"
        yield _box(
            scale.x(life.started_us), TOP - 4, scale.width(life.started_us, first_us), bottom - TOP, "url(#wait)", title
        )


def _bars(story: Story, scale: _Scale, rows: Sequence[int]) -> Iterator[str]:
    ends = {life.number: life.ended_us for life in story.lives}
    kept = {(step.label, step.life) for step in story.recorded}
    for execution, row in zip(story.executions, rows, strict=True):
        end_us = _end_of(execution, ends)
        survived = (execution.label, execution.life) in kept
        fate = "recorded" if survived else "cut off by the kill, executed again later"
        yield _box(
            scale.x(execution.start_us),
            TOP + row * ROW_HEIGHT,
            max(1.0, scale.width(execution.start_us, end_us) - 1),
            BAR_HEIGHT,
            colour_of(execution.life) if survived else CUT,
            f"{execution.label}: {(end_us - execution.start_us) / 1000:.0f} ms in process {execution.life}, {fate}",
            ' rx="2"' if survived else f' rx="2" stroke="{KILL}" stroke-width="0.8"',
        )


def _sleeps(story: Story, scale: _Scale, bottom: float) -> Iterator[str]:
    for start_us, end_us in story.sleeps:
        x, width = scale.x(start_us), scale.width(start_us, end_us)
        yield _box(x, TOP, width, bottom - TOP - 8, "#e9edf3", f"durable sleep: {(end_us - start_us) / 1e6:.1f} s")
        if width > 40:
            yield _text(x + width / 2, (TOP + bottom) / 2, "sleep", fill=FAINT, anchor="middle")


def _curve(story: Story, scale: _Scale, top: float) -> Iterator[str]:
    bottom, total = top + CURVE_HEIGHT, max(1, len(story.recorded))
    yield _text(LEFT, top - 12, "steps recorded in the history", size=13, weight=600)
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * CURVE_HEIGHT
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>'
        yield _text(LEFT - 8, y + 4, f"{round(share * total)}", fill=FAINT, anchor="end")
    points, y = [(scale.x(scale.start_us), bottom)], bottom
    for count, step in enumerate(sorted(story.recorded, key=lambda step: step.at_us), start=1):
        x = scale.x(step.at_us)
        points.append((x, y))
        y = bottom - count / total * CURVE_HEIGHT
        points.append((x, y))
    points.append((scale.x(scale.end_us), y))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    corners = f"{scale.x(scale.end_us):.1f},{bottom} {LEFT},{bottom}"
    yield f'<polygon points="{line} {corners}" fill="{CURVE}" fill-opacity="0.12"/>'
    yield f'<polyline points="{line}" fill="none" stroke="{CURVE}" stroke-width="2"/>'


def _life_labels(story: Story, scale: _Scale) -> Iterator[str]:
    for life in story.lives:
        x, width = scale.x(life.started_us), scale.width(life.started_us, life.ended_us)
        yield _box(x, TOP - 14, width, 4, colour_of(life.number), more=' rx="2"')
        name, did = f"process {life.number} · pid {life.pid}", f"replayed {life.replayed}, executed {life.executed}"
        if width > LETTER_WIDTH * max(len(name), len(did)):
            yield _text(x, TOP - 36, name, weight=600, fill=colour_of(life.number))
            yield _text(x, TOP - 20, did, fill=FAINT)


def _kills(story: Story, scale: _Scale, rows: Sequence[int], lanes_bottom: float, bottom: float) -> Iterator[str]:
    killed = [life for life in story.lives if life.killed_by]
    for life, row in zip(killed, rows, strict=True):
        x, y = scale.x(life.ended_us), lanes_bottom + 26 + row * LABEL_HEIGHT
        yield f'<line x1="{x:.1f}" y1="{TOP - 14}" x2="{x:.1f}" y2="{bottom}" stroke="{KILL}" stroke-width="1.6"/>'
        yield _box(x - LABEL_WIDTH / 2, y, LABEL_WIDTH, 17, KILL, more=' rx="3"')
        yield _text(x, y + 12.5, life.killed_by, size=11, weight=600, fill="#ffffff", anchor="middle")
