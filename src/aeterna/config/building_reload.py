"""The keys about a reload as records: start-up, canary, drain, state."""

from __future__ import annotations

from collections.abc import Sequence

from aeterna.config.older import one_of, soak_ms
from aeterna.config.part import Part
from aeterna.config.probing import probe_of, warn_of_strangers
from aeterna.config.schema import Drain
from aeterna.config.sockets import check_length
from aeterna.config.spec import (
    CanarySpec,
    DrainSpec,
    ProbeSpec,
    ReadyBy,
    SocketSpec,
    StartupSpec,
    StateMode,
    StateSpec,
    Strategy,
)

_CANARY = ("orchestration", "canary")
_STATE = ("orchestration", "state_handoff")
_STARTUP = ("orchestration", "startup")
STEP_MS = 30_000
"""Time at each weight below 100 where none is given."""


def startup_of(part: Part, health: ProbeSpec | None) -> StartupSpec:
    """When a new process counts as ready."""
    startup = part.keys.orchestration.startup
    if startup.ready is ReadyBy.LOG and not startup.log_pattern:
        part.mistake((*_STARTUP, "ready"), "there is no log_pattern to wait for", "`log_pattern:` beside it")
    if startup.ready is ReadyBy.PROBE and health is None and not part.has(*_CANARY, "health_check"):
        part.mistake((*_STARTUP, "ready"), "there is no probe to ask", "`healthcheck:`, or another word here")
    if startup.log_pattern and startup.ready not in (ReadyBy.LOG, ReadyBy.AUTO):
        part.warn((*_STARTUP, "log_pattern"), f"not used with `ready: {startup.ready}`")
    if startup.warmup_delay > startup.timeout:
        part.mistake((*_STARTUP, "warmup_delay"), "it is longer than startup.timeout", "a longer timeout beside it")
    return StartupSpec(
        ready=startup.ready,
        warmup_ms=startup.warmup_delay,
        timeout_ms=startup.timeout,
        log_pattern=startup.log_pattern,
    )


def canary_of(part: Part, sockets: Sequence[SocketSpec], health: ProbeSpec | None) -> CanarySpec:
    """How the new generation is watched; with strategy `immediate` it is not."""
    orchestration = part.keys.orchestration
    canary = orchestration.canary
    own = probe_of(part, (*_CANARY, "health_check"), canary.health_check, sockets)
    weights = _weights(part)
    soak = soak_ms(
        part.findings, part.at(*_CANARY), part.at("orchestration"), canary.soak_time, orchestration.soak_time
    )
    if not _is_watched(part):
        return CanarySpec(weights=(100,), soak_ms=0, probe=own or health)
    if own is not None:
        warn_of_strangers(part, (*_CANARY, "health_check"), own, sockets)
    if canary.step_time is not None and len(weights) == 1:
        part.warn((*_CANARY, "step_time"), "not used: there is no weight below 100")
    step = STEP_MS if canary.step_time is None else canary.step_time
    return CanarySpec(
        weights=weights,
        step_ms=step if len(weights) > 1 else 0,
        soak_ms=CanarySpec().soak_ms if soak is None else soak,
        probe=own or health,
        error_rate_max=canary.error_rate_max,
        latency_ms_max=canary.latency_max,
        samples_min=canary.samples_min,
    )


def _is_watched(part: Part) -> bool:
    """Whether there is a time of watching. Two switches say so, for the older files have both."""
    orchestration = part.keys.orchestration
    if orchestration.strategy is Strategy.IMMEDIATE:
        for key in ("weights", "steps", "step_time", "soak_time"):
            if part.has(*_CANARY, key):
                part.warn((*_CANARY, key), "not used with `strategy: immediate`")
        return False
    if not orchestration.canary.enabled:
        part.warn((*_CANARY, "enabled"), "no soak; write `orchestration.strategy: immediate` instead")
        return False
    return True


def _weights(part: Part) -> tuple[int, ...]:
    canary = part.keys.orchestration.canary
    key = "weights" if canary.weights is not None else "steps"
    weights = one_of(
        part.findings, (part.at(*_CANARY, "weights"), canary.weights), (part.at(*_CANARY, "steps"), canary.steps)
    )
    if not weights:
        return (100,)
    if list(weights) != sorted(set(weights)):
        part.mistake((*_CANARY, key), "the weights do not rise", f"{sorted({*weights, 100})}")
        return (100,)
    if weights[-1] != 100:
        part.warn((*_CANARY, key), "the last weight is 100 for every release that stays, so it was added")
        return (*weights, 100)
    return weights


def drain_of(drain: Drain) -> DrainSpec:
    """How the old generation leaves."""
    return DrainSpec(
        lame_duck_ms=drain.lame_duck,
        timeout_ms=drain.timeout,
        ws_close_code=drain.ws_close.code,
        ws_close_spread_ms=drain.ws_close.spread,
        generations_max=drain.max_generations,
    )


def state_of(part: Part) -> StateSpec:
    """How memory moves; without `enabled` or a mode it does not."""
    state = part.keys.orchestration.state_handoff
    socket_path = part.absolute(state.socket_path) if state.socket_path else ""
    check_length(part, (*_STATE, "socket_path"), socket_path)
    return StateSpec(
        mode=_mode(part),
        socket_path=socket_path,
        timeout_ms=state.timeout,
        blackout_ms_max=state.blackout_max,
        bytes_max=state.max_bytes,
        on_missing=state.on_missing,
        on_incompatible=state.on_incompatible,
        rollback=state.rollback,
        keep_snapshot_ms=state.keep_snapshot,
        digest=str(state.digest),
    )


def _mode(part: Part) -> StateMode:
    state = part.keys.orchestration.state_handoff
    if state.enabled is None:
        if part.has(*_STATE) and state.mode is None:
            part.warn(_STATE, "no memory moves: add `enabled: true`")
        return state.mode or StateMode.NONE
    if not state.enabled:
        return StateMode.NONE
    if state.mode is StateMode.NONE:
        part.mistake((*_STATE, "mode"), "`enabled: true` beside it says otherwise", "exclusive or shared")
    return state.mode or StateMode.EXCLUSIVE
