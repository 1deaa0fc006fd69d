"""The health of one generation, from the samples its probes brought.

Pure: samples in, verdict out. "Unknown" (our own trouble in asking) is not "failed".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never


class Sample(StrEnum):
    """What one probe brought."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Health(StrEnum):
    """The verdict so far."""

    STARTING = "starting"
    """Too few samples for a verdict."""
    HEALTHY = "healthy"
    FLAPPING = "flapping"
    """Not failing in a row, yet too often, or too slow."""
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    """The last samples say nothing about the generation."""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """``retries``: failures in a row that make UNHEALTHY. The two rules hold from ``samples_min`` samples on; 0: no
    such rule. ``error_rate_max`` is a share of samples, 0 to 1; ``latency_ms_max`` bounds the 99th percentile."""

    retries: int = 3
    error_rate_max: float = 0.0
    latency_ms_max: int = 0
    samples_min: int = 5


@dataclass(frozen=True, slots=True)
class Record:
    """What the probes brought so far. Latencies are kept of the last `LATENCIES_MAX` good samples, in ms."""

    ok: int = 0
    failed: int = 0
    unknown: int = 0
    failed_in_a_row: int = 0
    unknown_in_a_row: int = 0
    latencies_ms: tuple[float, ...] = ()

    @property
    def count(self) -> int:
        """Samples that say something about the generation."""
        return self.ok + self.failed


LATENCIES_MAX = 200


def note(record: Record, sample: Sample, latency_ms: float) -> Record:
    """The record with one more sample."""
    match sample:
        case Sample.OK:
            latencies = (*record.latencies_ms, latency_ms)[-LATENCIES_MAX:]
            return replace(record, ok=record.ok + 1, failed_in_a_row=0, unknown_in_a_row=0, latencies_ms=latencies)
        case Sample.FAILED:
            return replace(
                record, failed=record.failed + 1, failed_in_a_row=record.failed_in_a_row + 1, unknown_in_a_row=0
            )
        case Sample.UNKNOWN:
            return replace(record, unknown=record.unknown + 1, unknown_in_a_row=record.unknown_in_a_row + 1)
        case _:
            assert_never(sample)


def judge(policy: HealthPolicy, record: Record) -> Health:
    """The verdict on a record."""
    if record.failed_in_a_row >= policy.retries:
        return Health.UNHEALTHY
    if record.unknown_in_a_row >= policy.retries:
        return Health.UNKNOWN
    if record.count >= max(policy.samples_min, 1) and (_fails_often(policy, record) or _is_slow(policy, record)):
        return Health.FLAPPING
    return Health.HEALTHY if record.ok else Health.STARTING


def p99_ms(record: Record) -> float:
    """The smallest of the kept latencies that 99 % of them do not exceed; 0 without any."""
    ordered = sorted(record.latencies_ms)
    return ordered[-(-len(ordered) * 99 // 100) - 1] if ordered else 0.0


def _fails_often(policy: HealthPolicy, record: Record) -> bool:
    return 0 < policy.error_rate_max < record.failed / record.count


def _is_slow(policy: HealthPolicy, record: Record) -> bool:
    return 0 < policy.latency_ms_max < p99_ms(record)
