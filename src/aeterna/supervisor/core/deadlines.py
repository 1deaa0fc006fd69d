"""How long a service may stay in each state."""

from __future__ import annotations

from typing import assert_never

from aeterna.supervisor.core.records import HandoverPolicy, Machine
from aeterna.supervisor.core.vocabulary import State

SPAWN_MS = 5_000
CONFIRM_MS = 1_000
LEAVE_MARGIN_MS = 5_000
"""Whoever has a process leave keeps the time itself; this is for when that does not come to an end."""


def deadline_ms(machine: Machine, policy: HandoverPolicy) -> int | None:
    """How long the machine may stay in its state before TIMEOUT; None: as long as it likes."""
    match machine.state:
        case State.STARTING | State.WARMING:
            return policy.start_ms
        case State.BACKOFF:
            return machine.delay_ms
        case State.STOPPING:
            return policy.stop_ms + LEAVE_MARGIN_MS
        case State.PREFLIGHT:
            return policy.checks_ms
        case State.SPAWN:
            return SPAWN_MS
        case State.PRECOPY:
            return policy.state_ms + policy.lame_duck_ms
        case State.QUIESCE | State.SNAPSHOT | State.RESTORE:
            return policy.state_ms
        case State.COMMIT | State.PROMOTE:
            return CONFIRM_MS
        case State.ABORT | State.ROLLBACK | State.RESCUE:
            return policy.blackout_ms
        case State.SOAK if not machine.is_held:
            return policy.soak_ms if machine.step == len(policy.weights) - 1 else policy.step_ms
        case State.SOAK_NO_NET:
            return policy.soak_ms
        case State.VACATE | State.DRAIN:
            return policy.lame_duck_ms + policy.drain_ms + LEAVE_MARGIN_MS
        case State.STOPPED | State.RUNNING | State.FAILED | State.SOAK:
            return None
        case _:
            assert_never(machine.state)
