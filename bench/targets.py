"""What each figure has to reach. The quotes are the requirement's own words, to hold a table row against."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Better(Enum):
    """In which direction a figure is good."""

    HIGHER = "higher"
    LOWER = "lower"


class Rule(Enum):
    """How a target is meant."""

    TIMES_BETTER_THAN_DBOS = "x DBOS"
    AT_MOST = "<="
    UNDER = "<"


@dataclass(frozen=True, slots=True)
class Target:
    """The bound for Aeterna's figure, or for how many times better than DBOS's it is."""

    rule: Rule
    bound: float
    quote: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a metric of a workload (`metric` as the measuring code names it)."""

    workload: str
    metric: str
    title: str
    unit: str
    better: Better
    target: Target | None = None


NOOP = "noop-10: runs of 10 steps each returning 100 bytes, 1 and 50 in flight, SQLite. To reach: "
CPU = Target(Rule.TIMES_BETTER_THAN_DBOS, 10, "CPU per 1,000 steps at most a tenth of DBOS's")
BYTES = Target(Rule.AT_MOST, 4570, "bytes per run not more than DBOS's 4,570")
REPLAY = Target(Rule.UNDER, 100, "replaying it after a kill takes under 100 ms")
RECOVERED = "killed half-way: all done within 1 s of the kill, process start included, no finished step repeated"


def _throughput_rows(workload: str, times_better: float) -> tuple[Row, ...]:
    speed = Target(Rule.TIMES_BETTER_THAN_DBOS, times_better, f"{NOOP}{times_better:.0f}x DBOS's steps/s")
    return (
        Row(workload, "steps_per_s", "throughput", "steps/s", Better.HIGHER, speed),
        Row(workload, "cpu_s_per_1000_steps", "processor time / 1,000 steps", "s", Better.LOWER, CPU),
        Row(workload, "bytes_per_run", "store size / run", "bytes", Better.LOWER, BYTES),
    )


def _level_rows(workload: str) -> tuple[Row, ...]:
    return (
        Row(workload, "steps_per_s", "throughput", "steps/s", Better.HIGHER),
        Row(workload, "cpu_s_per_1000_steps", "processor time / 1,000 steps", "s", Better.LOWER),
    )


ROWS: tuple[Row, ...] = (
    *_throughput_rows("noop-1", 7),
    *_throughput_rows("noop-50", 60),
    Row("start", "p50_ms", "median", "ms", Better.LOWER,
        Target(Rule.UNDER, 1, "start-to-result of a 1-step run: p50 under 1 ms embedded")),
    Row("start", "p99_ms", "99th percentile", "ms", Better.LOWER),
    Row("fan-out", "ms", "start to result", "ms", Better.LOWER,
        Target(Rule.UNDER, 100, "fan-out of 1,000 parallel steps: under 100 ms")),
    Row("growth", "first_us", "per step, first 500", "us", Better.LOWER),
    Row("growth", "last_to_first", "last 500 / first 500", "x", Better.LOWER,
        Target(Rule.AT_MOST, 1.1, "the last 500 cost at most 1.1x the first 500 per step")),
    Row("growth", "replay_ms", "replay alone", "ms", Better.LOWER, REPLAY),
    Row("growth", "open_to_next_step_ms", "open to next new step", "ms", Better.LOWER, REPLAY),
    Row("growth", "kill_to_next_step_ms", "kill to next new step", "ms", Better.LOWER),
    Row("growth", "repeated_steps", "finished steps repeated", "", Better.LOWER,
        Target(Rule.AT_MOST, 0, "a step whose completion is committed never executes again")),
    Row("long", "s", "total", "s", Better.LOWER),
    Row("long", "last_to_first", "last 500 / first 500", "x", Better.LOWER),
    Row("recovery", "kill_to_all_done_s", "kill to all done", "s", Better.LOWER, Target(Rule.AT_MOST, 1, RECOVERED)),
    Row("recovery", "kill_to_open_s", "of it: kill to engine open", "s", Better.LOWER),
    Row("recovery", "repeated_steps", "finished steps repeated", "", Better.LOWER, Target(Rule.AT_MOST, 0, RECOVERED)),
    Row("recovery", "repeated_in_flight", "steps in flight run again", "", Better.LOWER),
    Row("footprint", "rss_mb", "resident memory", "MB", Better.LOWER,
        Target(Rule.UNDER, 60, "idle resident memory under 60 MB")),
    Row("cold-start", "s", "total", "s", Better.LOWER,
        Target(Rule.UNDER, 0.5, "cold start to first finished run under 0.5 s")),
    *_level_rows("noop-1-snapshot"),
    *_level_rows("noop-50-snapshot"),
    *_level_rows("noop-1-memory"),
    *_level_rows("noop-50-memory"),
)  # fmt: skip


def advantage(row: Row, aeterna: float, dbos: float) -> float | None:
    """How many times better Aeterna is; None where a zero makes the question empty."""
    above, below = (aeterna, dbos) if row.better is Better.HIGHER else (dbos, aeterna)
    return above / below if below else None


def is_met(row: Row, aeterna: float, dbos: float | None) -> bool | None:
    """Whether the target is reached; None without a target, or without the other system where it is relative."""
    if row.target is None:
        return None
    match row.target.rule:
        case Rule.AT_MOST:
            return aeterna <= row.target.bound
        case Rule.UNDER:
            return aeterna < row.target.bound
        case Rule.TIMES_BETTER_THAN_DBOS:
            times = None if dbos is None else advantage(row, aeterna, dbos)
            return None if times is None else times >= row.target.bound
