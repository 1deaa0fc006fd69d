"""From a service's configuration to the small policies that the pure core decides by."""

from __future__ import annotations

from aeterna.config.spec import OnConflict, Overlap, RestartSpec, ServiceSpec, StateMode, Strategy, WithoutState
from aeterna.supervisor.core.records import HandoverPolicy
from aeterna.supervisor.core.restart import RestartPolicy, Rule

CHECKS_MARGIN_MS = 5_000


def of(spec: ServiceSpec) -> HandoverPolicy:
    """What the handover table needs to know of this service."""
    is_canary = spec.strategy is Strategy.CANARY
    state = spec.state
    return HandoverPolicy(
        moves_state=state.mode is StateMode.EXCLUSIVE,
        shares_state=state.mode is StateMode.SHARED,
        aborts_without_state=state.on_missing is WithoutState.ABORT,
        stops_first=spec.overlap is Overlap.STOP_FIRST,
        queues=spec.on_conflict is OnConflict.COALESCE,
        weights=spec.canary.weights if is_canary else (100,),
        step_ms=spec.canary.step_ms,
        soak_ms=spec.canary.soak_ms if is_canary else 0,
        start_ms=spec.startup.timeout_ms + spec.startup.warmup_ms,
        checks_ms=sum(check.timeout_ms for check in spec.pre_flight) + CHECKS_MARGIN_MS,
        state_ms=state.timeout_ms,
        blackout_ms=state.blackout_ms_max,
        lame_duck_ms=spec.drain.lame_duck_ms,
        drain_ms=spec.drain.timeout_ms,
        stop_ms=spec.stop_grace_ms,
        restart=_restart(spec.restart, spec),
    )


def _restart(restart: RestartSpec, spec: ServiceSpec) -> RestartPolicy:
    return RestartPolicy(
        rule=Rule(restart.rule.value),
        delay_ms=restart.delay_ms,
        delay_ms_max=restart.delay_ms_max,
        factor=restart.factor,
        jitter=restart.jitter,
        window_ms=restart.window_ms,
        attempts_max=restart.attempts_max,
        reset_ms=restart.reset_ms,
        permanent_codes=frozenset(spec.permanent_exit_codes),
        success_codes=frozenset({0, *spec.success_exit_codes}),
    )
