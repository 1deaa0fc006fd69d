"""The metrics: every method moves its series, labels stay few, series of what is gone are removed."""

from __future__ import annotations

import pytest

from aeterna.supervisor.core.vocabulary import PHASES
from aeterna.supervisor.metrics import PROCESS_STATES, LivingGeneration, Metrics


def series(metrics: Metrics) -> dict[str, float]:
    """Each series with its value."""
    lines = metrics.render().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


@pytest.mark.parametrize(
    ("do", "name", "value"),
    [
        (lambda m: m.restarted("web", "exit code 3"), 'restarts_total{reason="exit code 3",service="web"}', 1),
        (
            lambda m: m.restarted("web", "killed by SIGSEGV (core dumped)"),
            'restarts_total{reason="killed by SIGSEGV",service="web"}',
            1,
        ),
        (
            lambda m: m.reload_ended("web", "succeeded", 2.0, "SOAK"),
            'reload_total{phase="SOAK",result="succeeded",service="web"}',
            1,
        ),
        (
            lambda m: m.reload_ended("web", "succeeded", 2.0),
            'handover_duration_seconds_sum{result="succeeded",service="web"}',
            2,
        ),
        (
            lambda m: m.observe_phase("web", "WARMING", 0.5),
            'reload_phase_seconds_sum{phase="WARMING",service="web"}',
            0.5,
        ),
        (lambda m: m.observe_handoff("web", 4096), 'handoff_bytes_sum{service="web"}', 4096),
        (lambda m: m.observe_blackout("web", 0.004), 'handoff_blackout_seconds_bucket{le="0.005",service="web"}', 1),
        (lambda m: m.probed("web", "ok", is_soak=True), 'soak_probe_total{result="ok",service="web"}', 1),
        (lambda m: m.probed("web", "failed"), 'health_probe_total{result="failed",service="web"}', 1),
        (lambda m: m.rolled_back("web", "unhealthy: 503"), 'rollbacks_total{reason="unhealthy",service="web"}', 1),
        (lambda m: m.rolled_back("web", ""), 'rollbacks_total{reason="unknown",service="web"}', 1),
        (lambda m: m.straggler("web", 2), 'stragglers_total{service="web"}', 2),
        (lambda m: m.accept_queue_overflow("web"), 'accept_queue_overflow_total{service="web"}', 1),
        (lambda m: m.log_lines("web", "stderr"), 'log_lines_total{service="web",stream="stderr"}', 1),
        (lambda m: m.log_lines_dropped("web", 7), 'log_lines_dropped_total{service="web"}', 7),
        (lambda m: m.listener_backlog("web", "http", 3), 'listener_backlog{service="web",socket="http"}', 3),
        (lambda m: m.is_ready("web", is_ready=True), 'service_ready{service="web"}', 1),
        (
            lambda m: m.set_weight("web", 2, 25),
            'generation_weight_percent{generation="2",service="web"}',
            25,
        ),
        (lambda m: m.operation("reload", "accepted"), 'operations_total{result="accepted",verb="reload"}', 1),
        (lambda m: m.set_state("web", "SOAKING"), 'process_state{service="web"}', 1),
        (lambda m: m.set_state("web", "SOAKING"), 'service_state{phase="SOAKING",service="web"}', 1),
    ],
)
def test_everything_that_happens_moves_a_series(do, name, value):
    metrics = Metrics()
    do(metrics)
    assert series(metrics)[f"aeterna_{name}"] == value


def test_every_public_phase_has_its_number():
    assert set(PROCESS_STATES) == set(PHASES.values())
    assert len(set(PROCESS_STATES.values())) == len(PROCESS_STATES)
    assert PROCESS_STATES["RUNNING"] == 0
    assert PROCESS_STATES["SOAKING"] == 1


def test_the_series_of_a_generation_that_is_gone_are_removed():
    metrics = Metrics()
    metrics.generations("web", [LivingGeneration(1, 10, "active", 1_000, 100)])
    metrics.set_weight("web", 2, 5)
    metrics.generations("web", [LivingGeneration(1, 10, "standby"), LivingGeneration(2, 20, "active", 2_000, 100)])
    found = series(metrics)
    assert found['aeterna_generations_alive{service="web"}'] == 2
    assert found['aeterna_generation_info{generation="2",pid="20",role="active",service="web"}'] == 1
    assert 'aeterna_generation_info{generation="1",pid="10",role="active",service="web"}' not in found
    metrics.set_weight("web", 3, 5)
    metrics.generations("web", [])
    found = series(metrics)
    assert found['aeterna_generations_alive{service="web"}'] == 0
    assert not [name for name in found if "generation=" in name]


def test_the_keepers_count_of_orphans_may_start_anew():
    metrics = Metrics()
    for total in (3, 3, 5, 1, 2):
        metrics.orphans_reaped(total)
    assert series(metrics)["aeterna_orphans_reaped_total"] == 7


def test_two_supervisors_do_not_meet_and_no_series_tells_when_it_was_born():
    one, other = Metrics("1"), Metrics("2")
    one.restarted("web", "exit code 1")
    assert "aeterna_restarts_total{" not in other.render().decode()
    assert "_created" not in one.render().decode()
