"""The handover table is total, and nothing in it or in its vocabulary is idle."""

from __future__ import annotations

import itertools

import pytest

from aeterna.supervisor.core.meanings import BOOKKEEPING, GUARDS
from aeterna.supervisor.core.table import ASKED, TABLE, Edge
from aeterna.supervisor.core.vocabulary import PHASES, Action, Guard, Kind, State

PAIRS = list(itertools.product(State, Kind))
EDGES = [(state, kind, edge) for state, kind in PAIRS for edge in TABLE[state][kind]]


@pytest.mark.parametrize(("state", "kind"), PAIRS, ids=[f"{state.name}-{kind.name}" for state, kind in PAIRS])
def test_every_event_has_an_answer_in_every_state(state: State, kind: Kind) -> None:
    """The last edge holds whatever the guards say, and none before it does."""
    *guarded, last = TABLE[state][kind]
    assert not last.guards
    assert all(edge.guards for edge in guarded)


def test_the_table_has_nothing_else() -> None:
    assert set(TABLE) == set(State)
    assert all(set(rows) == set(Kind) for rows in TABLE.values())
    assert set(PHASES) == set(State)


def test_every_state_can_be_reached_and_left() -> None:
    def reachable(start: State) -> set[State]:
        found, fresh = {start}, {start}
        while fresh:
            fresh = {edge.to for state, _, edge in EDGES if state in fresh} - found
            found |= fresh
        return found

    assert reachable(State.STOPPED) == set(State)
    assert all(State.STOPPED in reachable(state) for state in State)
    assert all(State.RUNNING in reachable(state) for state in State)


def test_every_guard_and_every_action_is_used_and_has_a_meaning() -> None:
    assert {guard for _, _, edge in EDGES for guard in edge.guards} == set(Guard) == set(GUARDS)
    assert {action for _, _, edge in EDGES for action in edge.actions} == set(Action)
    assert set(BOOKKEEPING) <= set(Action)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_a_stop_is_never_refused_and_leads_down(state: State) -> None:
    [edge] = TABLE[state][Kind.STOP]
    assert Action.REFUSE not in edge.actions
    assert edge.to in (State.STOPPING, State.STOPPED)


def test_only_what_operators_ask_for_is_refused() -> None:
    refused = {kind for _, kind, edge in EDGES if Action.REFUSE in edge.actions}
    assert refused == ASKED


def test_what_is_refused_changes_nothing() -> None:
    assert all(edge == Edge(state, (Action.REFUSE,)) for state, _, edge in EDGES if Action.REFUSE in edge.actions)


def test_no_edge_does_the_same_twice() -> None:
    """Actions are told apart by their names, so that a successor of the daemon can do them again."""
    assert all(len(set(edge.actions)) == len(edge.actions) for _, _, edge in EDGES)


def test_a_successor_of_the_daemon_goes_on_or_goes_back_but_never_waits_for_its_predecessor() -> None:
    """Where work was under way when the daemon died, the work is begun again."""
    idle = {state for state in State if not TABLE[state][Kind.RECOVERED][-1].actions}
    assert idle == {State.STOPPED, State.BACKOFF, State.FAILED}


def test_every_verdict_is_recorded_where_a_handover_ends() -> None:
    """An edge from a handover without a verdict to a state in which none is under way has exactly one."""
    verdicts = {Action.SUCCEED, Action.SUCCEED_COLD}
    verdicts |= {Action.RECORD_ABORTED, Action.RECORD_ROLLED_BACK, Action.RECORD_DEGRADED}
    over = {State.STOPPED, State.STARTING, State.RUNNING, State.BACKOFF, State.FAILED, State.STOPPING}
    judged = {State.DRAIN, State.RESCUE}
    for state, kind, edge in EDGES:
        count = len(verdicts & set(edge.actions))
        is_end = state not in over | judged and edge.to in over | judged
        assert count == is_end, f"{state.name} {kind.name}"
