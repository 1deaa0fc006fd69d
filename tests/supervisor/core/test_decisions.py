"""What a decision carries besides the table: numbers, reasons, deadlines, and the reload that waits for its turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.supervisor.core.deadlines import CONFIRM_MS, LEAVE_MARGIN_MS, SPAWN_MS, deadline_ms
from aeterna.supervisor.core.machine import decide
from aeterna.supervisor.core.records import HandoverPolicy, Machine, Step
from aeterna.supervisor.core.restart import Death, RestartPolicy, Rule
from aeterna.supervisor.core.vocabulary import Action, Event, Kind, State
from tests.supervisor.core.world import World

SOAKS = HandoverPolicy(soak_ms=1_000)
EXCLUSIVE = HandoverPolicy(moves_state=True, soak_ms=1_000)
CANARY = HandoverPolicy(weights=(5, 25, 100), step_ms=2_000, soak_ms=1_000)


def running(policy: HandoverPolicy) -> World:
    """A service that runs in its first generation."""
    world = World(policy)
    world.post(Kind.START)
    world.finish()
    return world


def until(world: World, state: State) -> World:
    """Let everything go well until the state is reached."""
    for _ in range(20):
        if world.machine.state is state:
            return world
        _ = world.finish() if world.is_working else world.post(Kind.TIMEOUT)
    raise AssertionError(f"never comes to {state}: {world.machine}")


def reloading(policy: HandoverPolicy, state: State) -> World:
    world = running(policy)
    world.post(Kind.RELOAD)
    return until(world, state)


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        (HandoverPolicy(), "PREFLIGHT SPAWN WARMING COMMIT PROMOTE DRAIN"),
        (SOAKS, "PREFLIGHT SPAWN WARMING COMMIT SOAK PROMOTE DRAIN"),
        (CANARY, "PREFLIGHT SPAWN WARMING COMMIT SOAK SOAK SOAK PROMOTE DRAIN"),
        (EXCLUSIVE, "PREFLIGHT SPAWN WARMING PRECOPY QUIESCE SNAPSHOT RESTORE COMMIT SOAK PROMOTE DRAIN"),
        (HandoverPolicy(shares_state=True), "PREFLIGHT SPAWN WARMING SNAPSHOT RESTORE COMMIT PROMOTE DRAIN"),
    ],
)
def test_a_handover_in_which_all_goes_well(policy: HandoverPolicy, states: str) -> None:
    """The states it comes through; then the next generation serves, has the lease, and the old one has left."""
    world = running(policy)
    world.post(Kind.RELOAD)
    seen = [world.machine.state.name]
    while world.machine.state is not State.DRAIN:
        _ = world.finish() if world.is_working else world.post(Kind.TIMEOUT)
        seen.append(world.machine.state.name)
    world.die(1)
    assert seen == states.split()
    assert (world.machine.state, world.machine.old, world.machine.new) == (State.RUNNING, 2, 0)
    assert world.lease_holders == [2]
    assert world.verdicts == {1: [Action.SUCCEED]}


def test_a_service_that_stops_first_leaves_before_the_next_one_starts() -> None:
    world = running(HandoverPolicy(stops_first=True))
    world.post(Kind.RELOAD)
    world.finish()
    assert (world.machine.state, world.processes.keys()) == (State.VACATE, {1})
    world.die(1)
    assert (world.machine.state, world.machine.new) == (State.SPAWN, 2)
    until(world, State.RUNNING)
    assert world.verdicts == {1: [Action.SUCCEED_COLD]}


def test_a_restart_is_a_handover_that_stops_first() -> None:
    world = running(SOAKS)
    assert world.post(Kind.RESTART).begins
    assert world.machine.state is State.VACATE
    world.die(1)
    assert until(world, State.RUNNING).machine.old == 2


def test_numbers_of_generations_and_handovers_only_go_up() -> None:
    world = reloading(SOAKS, State.SOAK)
    world.post(Kind.ROLLBACK)
    until(world, State.RUNNING)
    world.post(Kind.RELOAD)
    until(world, State.SOAK)
    assert (world.machine.txn, world.machine.old, world.machine.new, world.machine.last) == (2, 1, 3, 3)


def test_the_rescue_ends_with_the_last_good_version_in_a_handover_of_its_own() -> None:
    """The old one hangs when it is to serve again: the new one serves on, and hands over to the old version anew."""
    world = reloading(EXCLUSIVE, State.SOAK)
    world.post(Kind.UNHEALTHY, "slow")
    world.post(Kind.TIMEOUT, "it does not resume")
    assert (world.machine.state, world.machine.old, world.machine.is_paused) == (State.RESCUE, 2, True)
    world.finish()
    assert (world.machine.state, world.machine.new, world.machine.txn) == (State.SPAWN, 3, 2)
    assert world.processes[2].accepts
    until(world, State.DRAIN)
    assert world.verdicts == {1: [Action.RECORD_DEGRADED], 2: [Action.SUCCEED]}


# --- reasons ---------------------------------------------------------------------------------------------------------


def test_why_it_went_back_is_kept() -> None:
    """The deaths that follow from going back do not hide it."""
    world = reloading(EXCLUSIVE, State.SOAK)
    world.post(Kind.UNHEALTHY, "three probes failed")
    world.die(2)
    world.finish()
    assert (world.machine.state, world.machine.reason) == (State.RUNNING, "three probes failed")


def test_what_goes_wrong_on_the_way_back_is_added() -> None:
    world = reloading(EXCLUSIVE, State.SOAK)
    world.post(Kind.UNHEALTHY, "three probes failed")
    world.die(2)
    world.post(Kind.TIMEOUT, "it does not resume")
    assert (world.machine.state, world.machine.reason) == (State.STARTING, "three probes failed; it does not resume")


def test_a_reason_of_its_own_is_taken_where_there_was_none() -> None:
    world = reloading(SOAKS, State.SOAK)
    world.post(Kind.ROLLBACK)
    assert world.machine.reason == ""
    world.die(1)
    assert (world.machine.state, world.machine.reason) == (State.RESCUE, "died")


def test_what_changes_nothing_explains_nothing() -> None:
    world = reloading(SOAKS, State.WARMING)
    world.post(Kind.UNHEALTHY, "the old one is slow")
    world.post(Kind.RECOVERED, "a new daemon")
    assert world.machine.reason == ""


def test_a_death_explains_a_wait() -> None:
    world = running(HandoverPolicy())
    world.die(1)
    world.die(2, Death(None, os_signal=9, lifetime_ms=5))
    assert (world.machine.state, world.machine.reason) == (State.BACKOFF, "OS signal 9")
    assert deadline_ms(world.machine, world.policy) == world.machine.delay_ms > 0


def test_a_death_nobody_knows_more_of_counts_as_a_failure() -> None:
    policy = HandoverPolicy(restart=RestartPolicy(rule=Rule.ON_FAILURE))
    assert decide(running(policy).machine, Event(Kind.OLD_DIED), policy).machine.state is State.STARTING


@pytest.mark.parametrize(
    ("rule", "code", "state", "told"),
    [
        (Rule.NO, 1, State.STOPPED, Action.LEAVE),
        (Rule.ON_FAILURE, 0, State.STOPPED, Action.LEAVE),
        (Rule.ALWAYS, 3, State.FAILED, Action.GIVE_UP),
    ],
)
def test_what_is_not_started_again_is_told(rule: Rule, code: int, state: State, told: Action) -> None:
    world = running(HandoverPolicy(restart=RestartPolicy(rule=rule)))
    decision = world.die(1, Death(code, was_ready=code != 3))
    assert decision is not None
    assert decision.machine.state is state
    assert told in [step.action for step in decision.steps]


# --- what is done about nobody ---------------------------------------------------------------------------------------


def test_nothing_is_done_about_a_generation_that_is_not_there() -> None:
    """It would be mistaken for one that is."""
    machine = Machine(State.COMMIT, old=0, new=2, last=2, txn=1)
    decision = decide(machine, Event(Kind.NEW_DIED), HandoverPolicy())
    assert Step(Action.KILL_NEW, 2) in decision.steps
    assert Action.KILL_OLD not in [step.action for step in decision.steps]


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_refusal_says_so_and_nothing_begins() -> None:
    decision = reloading(SOAKS, State.SOAK).post(Kind.RELOAD)
    assert decision.is_refused
    assert not decision.begins


@pytest.mark.parametrize("ends_in", [Kind.PROMOTE, Kind.ROLLBACK])
def test_many_reloads_that_wait_become_one_after_the_verdict(ends_in: Kind) -> None:
    world = reloading(SOAKS, State.SOAK)
    for _ in range(3):
        assert not world.post(Kind.RELOAD, must_queue=True).is_refused
    world.post(ends_in)
    while world.machine.state is not State.RUNNING:
        assert not world.last.runs_queued
        _ = world.finish() if world.is_working else world.die(world.machine.old)
    assert world.last.runs_queued
    assert not world.machine.is_queued
    assert not world.post(Kind.RECOVERED).runs_queued


def test_a_reload_that_waits_runs_when_nothing_comes_of_the_handover_either() -> None:
    """The last good version cannot be started: what waits may be what mends it."""
    world = reloading(SOAKS, State.WARMING)
    world.post(Kind.RELOAD, must_queue=True)
    world.die(1)
    world.die(2)
    world.die(3)
    assert world.machine.state is State.STARTING
    assert not world.last.runs_queued
    world.die(4)
    assert world.machine.state is State.BACKOFF
    assert world.last.runs_queued


def test_a_reload_that_waits_is_over_with_a_fresh_start() -> None:
    world = reloading(SOAKS, State.WARMING)
    world.post(Kind.RELOAD, must_queue=True)
    world.die(1)
    world.die(2)
    world.post(Kind.RELOAD)
    until(world, State.RUNNING)
    assert not world.last.runs_queued


def test_a_stop_forgets_the_reload_that_waits() -> None:
    world = reloading(SOAKS, State.SOAK)
    world.post(Kind.RELOAD, must_queue=True)
    world.post(Kind.STOP)
    world.die(1)
    world.die(2)
    assert world.machine.state is State.STOPPED
    assert not world.last.runs_queued


def test_a_fresh_start_is_counted_from_the_beginning() -> None:
    """Earlier deaths were another version's."""
    world = running(HandoverPolicy())
    world.die(1)
    assert world.post(Kind.RELOAD).begins
    assert (world.machine.deaths_ms, world.machine.reason) == ((), "")
    assert (world.machine.state, world.machine.old) == (State.STARTING, 3)


# --- deadlines -------------------------------------------------------------------------------------------------------

POLICY = HandoverPolicy(
    weights=(5, 100),
    step_ms=1,
    soak_ms=2,
    start_ms=3,
    checks_ms=4,
    state_ms=5,
    blackout_ms=6,
    lame_duck_ms=7,
    drain_ms=80,
    stop_ms=9,
)
DEADLINES = {
    State.STOPPED: None,
    State.STARTING: 3,
    State.RUNNING: None,
    State.BACKOFF: 10,
    State.FAILED: None,
    State.STOPPING: 9 + LEAVE_MARGIN_MS,
    State.PREFLIGHT: 4,
    State.VACATE: 87 + LEAVE_MARGIN_MS,
    State.SPAWN: SPAWN_MS,
    State.WARMING: 3,
    State.PRECOPY: 12,
    State.QUIESCE: 5,
    State.SNAPSHOT: 5,
    State.RESTORE: 5,
    State.COMMIT: CONFIRM_MS,
    State.SOAK: 1,
    State.SOAK_NO_NET: 2,
    State.PROMOTE: CONFIRM_MS,
    State.DRAIN: 87 + LEAVE_MARGIN_MS,
    State.ABORT: 6,
    State.ROLLBACK: 6,
    State.RESCUE: 6,
}


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_state_in_which_something_is_under_way_has_a_deadline(state: State) -> None:
    assert deadline_ms(Machine(state, delay_ms=10), POLICY) == DEADLINES[state]


def test_a_step_has_its_own_time_and_a_weight_by_hand_has_none() -> None:
    assert deadline_ms(Machine(State.SOAK, step=1), POLICY) == 2
    assert deadline_ms(Machine(State.SOAK, step=1, is_held=True), POLICY) is None


def test_the_clock_starts_anew_with_a_step_a_state_and_a_daemon() -> None:
    world = reloading(CANARY, State.SOAK)
    assert world.post(Kind.TIMEOUT).rearms
    assert world.post(Kind.FLAPPING).rearms
    assert world.post(Kind.WEIGHT).rearms
    assert world.post(Kind.RECOVERED).rearms
    assert world.post(Kind.ROLLBACK).rearms
    assert not world.post(Kind.UNHEALTHY).rearms


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_a_successor_of_the_daemon_starts_every_clock(state: State) -> None:
    """Nobody else would: its predecessor's timers died with it."""
    has_old = state not in (State.STOPPED, State.BACKOFF, State.FAILED, State.SOAK_NO_NET)
    has_new = state in (State.SPAWN, State.WARMING, State.COMMIT, State.SOAK, State.SOAK_NO_NET, State.PROMOTE)
    has_new = has_new or state in (State.PRECOPY, State.QUIESCE, State.SNAPSHOT, State.RESTORE, State.DRAIN)
    machine = Machine(state, old=int(has_old), new=2 * has_new, last=2, lease=int(has_old))
    assert decide(machine, Event(Kind.RECOVERED), SOAKS).rearms


# --- the pause -------------------------------------------------------------------------------------------------------


def test_the_pause_lasts_from_the_quiescence_to_the_confirmation() -> None:
    world = reloading(EXCLUSIVE, State.PRECOPY)
    paused = []
    while world.machine.state is not State.SOAK:
        paused.append((world.machine.state.name, world.machine.is_paused))
        world.finish()
    names = [name for name, is_paused in paused if is_paused]
    assert names == ["QUIESCE", "SNAPSHOT", "RESTORE", "COMMIT"]
    assert not world.machine.is_paused


@pytest.mark.parametrize(("policy", "is_paused"), [(EXCLUSIVE, True), (SOAKS, False)])
def test_a_rollback_is_a_pause_where_the_old_one_has_to_begin_again(policy: HandoverPolicy, is_paused: bool) -> None:
    world = reloading(policy, State.SOAK)
    world.post(Kind.ROLLBACK)
    assert world.machine.is_paused is is_paused


# --- the machine itself ----------------------------------------------------------------------------------------------


@given(st.sampled_from([State.RUNNING, State.SOAK, State.STOPPED]), st.integers(0, 3), st.integers(0, 3))
def test_a_machine_that_cannot_be_is_not_gone_on_with(state: State, old: int, new: int) -> None:
    """An event that changes nothing tells as well that nothing was wrong before it."""
    machine = Machine(state, old=old, new=new, last=2, lease=old)
    right = {
        State.RUNNING: old and not new,
        State.SOAK: old and new and old != new,
        State.STOPPED: not old and not new,
    }[state] and max(old, new) <= 2
    event = Event(Kind.CONFIG_CHANGED)
    if right:
        assert decide(machine, event, SOAKS).machine == machine
    else:
        with pytest.raises(AssertionError):
            decide(machine, event, SOAKS)


def test_a_decision_does_not_touch_what_it_was_given() -> None:
    machine = running(SOAKS).machine
    kept = replace(machine)
    decide(machine, Event(Kind.RELOAD), SOAKS)
    assert machine == kept
