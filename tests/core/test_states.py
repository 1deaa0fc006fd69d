"""The state table is total: every pair is either in it, or raises."""

from __future__ import annotations

import itertools

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import FINAL, TRANSITIONS, State, next_state
from aeterna.kernel.errors import IllegalTransitionError
from tests.core.samples import KINDS

PAIRS = list(itertools.product([None, *State], KINDS))


@pytest.mark.parametrize(("state", "kind"), PAIRS, ids=[f"{s and s.value}-{k.__name__}" for s, k in PAIRS])
def test_a_pair_is_legal_exactly_if_the_table_has_it(state: State | None, kind: type[ev.Event]) -> None:
    if (state, kind) in TRANSITIONS:
        assert next_state(state, kind) is TRANSITIONS[state, kind]
    else:
        with pytest.raises(IllegalTransitionError, match=f"event {kind.__name__} is illegal in state"):
            next_state(state, kind)


def test_the_table_says_what_we_mean() -> None:
    """The shape of the machine in words, so that the table cannot change unnoticed."""
    assert {state for state, _ in TRANSITIONS} == {None, State.PENDING, State.RUNNING}
    assert {kind.__name__ for (state, kind) in TRANSITIONS if state is State.PENDING} == {
        "RunStarted",
        "CancelRequested",
        "RunPaused",
        "RunResumed",
        "RunCancelled",
    }
    leaving = {(s, k.__name__): t.value for (s, k), t in TRANSITIONS.items() if t is not s and s is State.RUNNING}
    assert leaving == {
        (State.RUNNING, "RunCompleted"): "COMPLETED",
        (State.RUNNING, "RunFailed"): "FAILED",
        (State.RUNNING, "RunCancelled"): "CANCELLED",
    }


def test_a_final_state_is_never_left() -> None:
    assert {state for state in State if state.is_final} == FINAL
    assert not [pair for pair in TRANSITIONS if pair[0] in FINAL]


def test_every_state_can_be_reached_and_every_unfinished_one_can_end() -> None:
    def reachable(start: State | None) -> set[State]:
        found: set[State] = set()
        fresh: set[State | None] = {start}
        while fresh:
            fresh = {target for (state, _), target in TRANSITIONS.items() if state in fresh} - found
            found |= {state for state in fresh if state is not None}
        return found

    assert reachable(None) == set(State)
    assert all(reachable(state) & FINAL for state in State if not state.is_final)
