"""What must hold after every event, whatever came before it. Each is told the world and says nothing if it holds."""

from __future__ import annotations

from aeterna.supervisor.core.deadlines import deadline_ms
from aeterna.supervisor.core.vocabulary import State
from tests.supervisor.core.world import UNDECIDED, World, time_passes

WAITING = UNDECIDED - {State.VACATE, State.SOAK, State.SOAK_NO_NET} | {State.RESCUE}
"""Where nothing but the end of the work, or of the time, leads on."""
AT_REST = frozenset({State.RUNNING, State.BACKOFF, State.FAILED, State.STOPPED})


def at_most_one_generation_has_the_lease(world: World) -> None:
    assert len(world.lease_holders) <= 1, world.machine


def somebody_serves_or_there_is_a_reason(world: World) -> None:
    assert world.is_served or world.has_reason_not_to_serve, world.machine


def every_pause_ends(world: World) -> None:
    """The blackout clock ends it, or a state that lasts no longer than that clock."""
    if world.machine.is_paused and world.machine.state in (State.ABORT, State.ROLLBACK, State.RESCUE):
        assert deadline_ms(world.machine, world.policy) == world.policy.blackout_ms


def every_reload_has_one_verdict(world: World) -> None:
    """None while it is under way, and exactly one afterwards."""
    open_ones = [txn for txn, verdicts in world.verdicts.items() if not verdicts]
    assert all(len(verdicts) <= 1 for verdicts in world.verdicts.values())
    assert open_ones == ([world.machine.txn] if world.machine.state in UNDECIDED else []), world.machine


def no_state_waits_for_nothing(world: World) -> None:
    """Where only finished work leads on, there is work."""
    machine = world.machine
    old = world.processes.get(machine.old)
    if machine.state in WAITING:
        assert world.is_working, machine
    if machine.state is State.STARTING:
        assert world.is_working or (old and old.is_killed), machine


def generations_of_the_machine_are_there(world: World) -> None:
    """They live, or their start is under way; when stopping, the daemon tells of those that never came to be."""
    machine = world.machine
    gone = {machine.old, machine.new} - {0} - set(world.processes)
    assert not gone or world.is_working or machine.state is State.STOPPING, machine


def a_queued_reload_is_not_forgotten(world: World) -> None:
    """Where nothing is under way, none waits."""
    assert not (world.machine.is_queued and world.machine.state in AT_REST)


def time_alone_brings_it_to_rest(world: World) -> None:
    assert time_passes(world.machine, world.policy) < 40


CHEAP = (
    at_most_one_generation_has_the_lease,
    somebody_serves_or_there_is_a_reason,
    every_pause_ends,
    every_reload_has_one_verdict,
    no_state_waits_for_nothing,
    generations_of_the_machine_are_there,
    a_queued_reload_is_not_forgotten,
)
