"""The verdict on a generation from what its probes brought."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.supervisor.core.health import LATENCIES_MAX, Health, HealthPolicy, Record, Sample, judge, note, p99_ms

OK, FAILED, UNKNOWN = Sample.OK, Sample.FAILED, Sample.UNKNOWN
LETTERS = {"o": OK, "x": FAILED, "?": UNKNOWN}
SAMPLES = st.lists(st.sampled_from(Sample), max_size=60)


def record_of(samples: list[Sample], latency_ms: float = 1.0) -> Record:
    record = Record()
    for sample in samples:
        record = note(record, sample, latency_ms)
    return record


@pytest.mark.parametrize(
    ("samples", "health"),
    [
        ("", Health.STARTING),
        ("x", Health.STARTING),
        ("xx", Health.STARTING),
        ("xxx", Health.UNHEALTHY),
        ("xxo", Health.HEALTHY),
        ("o", Health.HEALTHY),
        ("oxx", Health.HEALTHY),
        ("oxxx", Health.UNHEALTHY),
        ("xxoxx", Health.FLAPPING),
        ("ooooox", Health.HEALTHY),
        ("?", Health.STARTING),
        ("???", Health.UNKNOWN),
        ("o???", Health.UNKNOWN),
        ("o???o", Health.HEALTHY),
        ("x?x?x", Health.UNHEALTHY),
        ("xx???x", Health.UNHEALTHY),
    ],
)
def test_what_the_samples_say(samples: str, health: Health) -> None:
    """Failures count in a row, whatever said nothing in between; a share of failures only with enough samples."""
    policy = HealthPolicy(retries=3, error_rate_max=0.4, samples_min=5)
    assert judge(policy, record_of([LETTERS[each] for each in samples])) is health


@pytest.mark.parametrize(("latency_ms", "health"), [(100.0, Health.HEALTHY), (100.1, Health.FLAPPING)])
def test_a_generation_that_answers_too_slowly_is_flapping(latency_ms: float, health: Health) -> None:
    assert judge(HealthPolicy(latency_ms_max=100), record_of([OK] * 5, latency_ms)) is health


def test_no_rule_holds_without_a_single_sample() -> None:
    policy = HealthPolicy(error_rate_max=0.1, latency_ms_max=1, samples_min=0)
    assert judge(policy, Record()) is Health.STARTING


@pytest.mark.parametrize(("count", "p99"), [(0, 0.0), (1, 1.0), (2, 2.0), (99, 99.0), (100, 99.0), (101, 100.0)])
def test_the_99th_percentile_is_exceeded_by_one_in_a_hundred(count: int, p99: float) -> None:
    assert p99_ms(Record(latencies_ms=tuple(float(at) for at in range(count, 0, -1)))) == p99


def test_the_latencies_of_failures_do_not_count_and_old_ones_are_forgotten() -> None:
    record = record_of([OK] * LATENCIES_MAX, 9.0)
    record = note(note(record, FAILED, 5_000.0), UNKNOWN, 5_000.0)
    for _ in range(LATENCIES_MAX):
        record = note(record, OK, 1.0)
    assert (len(record.latencies_ms), p99_ms(record)) == (LATENCIES_MAX, 1.0)


@given(SAMPLES)
def test_every_sample_is_counted_once(samples: list[Sample]) -> None:
    record = record_of(samples)
    assert (record.ok, record.failed, record.unknown) == tuple(samples.count(each) for each in (OK, FAILED, UNKNOWN))
    assert record.count == record.ok + record.failed


@given(SAMPLES, st.integers(1, 5))
def test_trouble_of_ours_never_condemns(samples: list[Sample], retries: int) -> None:
    """The verdict UNHEALTHY is the same as if the samples that say nothing had not been."""
    policy = HealthPolicy(retries=retries, error_rate_max=0.5)
    clear = record_of([each for each in samples if each is not UNKNOWN])
    assert (judge(policy, record_of(samples)) is Health.UNHEALTHY) == (judge(policy, clear) is Health.UNHEALTHY)


@given(SAMPLES, st.integers(1, 5))
def test_a_good_answer_ends_a_row(samples: list[Sample], retries: int) -> None:
    assert judge(HealthPolicy(retries=retries), record_of([*samples, OK])) is Health.HEALTHY
