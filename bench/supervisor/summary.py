"""From records to figures: counts, percentiles, gaps, and what happened around the marked moments.

All functions are pure; times are those of the records (seconds of CLOCK_MONOTONIC).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.supervisor.records import Outcome, Record


@dataclass(frozen=True, slots=True)
class Summary:
    """What a set of requests came to. ``gap_ms`` is the longest time in which none was completed successfully."""

    requests: int
    failed: int
    by_outcome: dict[str, int]
    p50_ms: float
    p99_ms: float
    p999_ms: float
    gap_ms: float


def summarise(records: Sequence[Record], since_s: float = -math.inf, until_s: float = math.inf) -> Summary:
    """The summary of the requests that were sent in that span."""
    chosen = [record for record in records if since_s <= record.sent_s < until_s]
    latencies_ms = sorted(record.latency_ms for record in chosen if record.outcome is Outcome.OK)
    counts = Counter(record.outcome.value for record in chosen)
    return Summary(
        requests=len(chosen),
        failed=len(chosen) - counts[Outcome.OK.value],
        by_outcome=dict(counts),
        p50_ms=percentile(latencies_ms, 50),
        p99_ms=percentile(latencies_ms, 99),
        p999_ms=percentile(latencies_ms, 99.9),
        gap_ms=largest_gap_ms(records, since_s, until_s),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest rank; NaN of nothing."""
    if not ordered:
        return math.nan
    rank = math.ceil(len(ordered) * percent / 100)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def largest_gap_ms(records: Sequence[Record], since_s: float = -math.inf, until_s: float = math.inf) -> float:
    """The longest time between two successful completions; the ends of a bounded span count as completions."""
    inside = (record.ended_s for record in records if record.outcome is Outcome.OK)
    moments = sorted(moment for moment in inside if since_s <= moment <= until_s)
    moments = [bound for bound in (since_s,) if math.isfinite(bound)] + moments
    moments += [bound for bound in (until_s,) if math.isfinite(bound)]
    return max(((after - before) * 1000 for before, after in pairwise(moments)), default=math.nan)


@dataclass(frozen=True, slots=True)
class Switch:
    """One reload as its clients saw it, in milliseconds after it was asked for; NaN where nothing of it was seen."""

    new_after_ms: float
    """The first request that was *sent* after the mark and answered by the new release was complete."""
    old_until_ms: float
    """The last answer of an older release."""


def switch(records: Sequence[Record], mark_s: float, until_s: float, release: int) -> Switch:
    """When the new release began to answer, and when the older ones ended."""
    new_ms: list[float] = []
    old_ms: list[float] = []
    for record in records:
        if record.outcome is Outcome.OK and mark_s <= record.ended_s < until_s and record.release.isdigit():
            (new_ms if int(record.release) >= release else old_ms).append((record.ended_s - mark_s) * 1000)
    return Switch(min(new_ms, default=math.nan), max(old_ms, default=math.nan))


@dataclass(frozen=True, slots=True)
class Bin:
    """The requests sent in one slice of time around the marks, all marks laid over each other."""

    offset_s: float
    requests: int
    failed: int
    p50_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Around:
    """The slices to look at: from ``before_s`` before a mark to ``after_s`` after it, each ``width_s`` wide."""

    before_s: float = 1.0
    after_s: float = 3.0
    width_s: float = 0.05


def series(records: Sequence[Record], marks_s: Sequence[float], around: Around) -> list[Bin]:
    """Latency and failures around the marks; slices without a request are left out."""
    slices: dict[int, list[Record]] = {}
    for mark_s in marks_s:
        for record in records:
            offset_s = record.sent_s - mark_s
            if -around.before_s <= offset_s < around.after_s:
                slices.setdefault(math.floor(offset_s / around.width_s), []).append(record)
    return [_bin(number * around.width_s, slices[number]) for number in sorted(slices)]


def _bin(offset_s: float, records: Sequence[Record]) -> Bin:
    latencies_ms = sorted(record.latency_ms for record in records if record.outcome is Outcome.OK)
    return Bin(
        offset_s=round(offset_s, 4),
        requests=len(records),
        failed=len(records) - len(latencies_ms),
        p50_ms=percentile(latencies_ms, 50),
        worst_ms=latencies_ms[-1] if latencies_ms else math.nan,
    )
